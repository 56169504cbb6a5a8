//! Under fire: killed or interrupted at random moments of provisioning and building. No process is
//! left, no half-made environment is ever used, and the next run succeeds.
//!
//! `PYENV_BUILD_FIRE_ROUNDS` says how often (the default is for a quick look),
//! `PYENV_BUILD_FIRE_SEED` where the random moments start; the seed is printed, and a failure names
//! its round.
#![cfg(target_os = "linux")]

use std::collections::{BTreeMap, BTreeSet};
use std::os::unix::process::ExitStatusExt as _;
use std::path::Path;
use std::time::{Duration, Instant};

use rustix::process::Signal;
use serde_json::Value;

use fastrand::Rng;

use crate::context::*;
use crate::processes::{MARK, PATIENCE, Process, census, pid, processes, wait_until};

/// Works for a while in each hook, with children, and uses all that the environments have.
const BACKEND: &str = r#"
import subprocess
import tiny
import dep

def _work():
    subprocess.run(["sh", "-c", "sleep 0.15; sleep 0.05 & wait"], check=True)

def get_requires_for_build_wheel(config_settings=None):
    _work()
    return ["more"]

def build_wheel(wheel_directory, config_settings=None, metadata_directory=None):
    import more
    _work()
    return tiny.build_wheel(wheel_directory, config_settings, metadata_directory)
"#;

/// What a run is up against.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fire {
    /// SIGKILL to one of its processes, or to itself.
    Kill,
    /// Ctrl-C.
    Interrupt,
}

/// A project, and what it comes to when nobody disturbs.
struct Range {
    test: Test,
    project: Project,
    wheels: Wheels,
    /// What is in an environment, by its name and the installer that made it.
    whole: BTreeMap<(String, String), BTreeSet<(String, u64)>>,
    wheel: Vec<u8>,
    /// How long an undisturbed run takes: from nothing, and with all there.
    takes: BTreeMap<(&'static str, bool), Duration>,
}

impl Range {
    fn new() -> Self {
        let test = Test::new();
        let wheels = test.wheels();
        let parts: Vec<String> = (0..8).map(|number| format!("part{number}")).collect();
        for part in &parts {
            wheels.add(part, "1", &[]);
        }
        let parts: Vec<&str> = parts.iter().map(String::as_str).collect();
        wheels.add_with("dep", "1", &parts, &format!("import {}", parts.join(", ")));
        wheels.add("more", "1", &[]);
        let project = test.project("p").requires(&["dep"]);
        std::fs::rename(project.path.join("backend.py"), project.path.join("tiny.py")).unwrap();
        project.write("backend.py", BACKEND);
        let mut range = Self {
            test,
            project,
            wheels,
            whole: BTreeMap::new(),
            wheel: Vec::new(),
            takes: BTreeMap::new(),
        };
        for installer in Installer::all() {
            for is_cold in [true, false] {
                if is_cold {
                    range.clear();
                }
                let start = Instant::now();
                range.program(installer, "calibration").run().success();
                range.takes.insert((installer.name(), is_cold), start.elapsed());
            }
            let made = range.environments();
            assert_eq!(made.len(), 2, "one for what is declared, one for what the hook adds");
            range.whole.extend(made);
        }
        range.wheel =
            std::fs::read(range.project.dist().join("tiny-1.0-py3-none-any.whl")).unwrap();
        range
    }

    fn program(&self, installer: Installer, mark: &str) -> Program {
        self.test
            .program(&[])
            .args(self.wheels.flags())
            .installer(installer, &self.test)
            .in_(&self.project)
            .env(MARK, mark)
    }

    /// Forgets all but the tools.
    fn clear(&self) {
        for name in ["envs", "requests", "interpreters", "hookd", "logs", "reports", "tmp", "locks"]
        {
            let _ = std::fs::remove_dir_all(self.project.root().join(name));
        }
        let _ = std::fs::remove_dir_all(self.project.dist());
    }

    /// Environments that have a marker: what is in each.
    fn environments(&self) -> BTreeMap<(String, String), BTreeSet<(String, u64)>> {
        let envs = self.project.root().join("envs");
        let markers = list(&envs).into_iter().filter(|name| !name.starts_with('.'));
        let names = markers.filter_map(|name| name.strip_suffix(".json").map(str::to_owned));
        names
            .map(|name| {
                let marker: Value = serde_json::from_slice(
                    &std::fs::read(envs.join(format!("{name}.json"))).unwrap(),
                )
                .unwrap();
                let files = content(&envs.join(&name));
                ((name, marker["installer"].as_str().unwrap().to_owned()), files)
            })
            .collect()
    }

    /// What is wrong with what is on disk.
    fn damage(&self) -> Option<String> {
        for (environment, files) in self.environments() {
            let Some(whole) = self.whole.get(&environment) else {
                return Some(format!("an unknown environment: {environment:?}"));
            };
            if files != *whole {
                let differences: Vec<_> = files.symmetric_difference(whole).take(5).collect();
                return Some(format!(
                    "{environment:?} has a marker and is not whole: {differences:?}"
                ));
            }
        }
        let wheel = std::fs::read(self.project.dist().join("tiny-1.0-py3-none-any.whl"));
        if wheel.is_ok_and(|wheel| wheel != self.wheel) {
            return Some("the wheel in dist is not whole".to_owned());
        }
        let litter: Vec<String> = list(&self.test.path.join("tmp"))
            .into_iter()
            .filter(|name| name.starts_with("hookd-"))
            .collect();
        (!litter.is_empty())
            .then(|| format!("left in the system's temporary directory: {litter:?}"))
    }

    /// One run under fire, and the next one. Returns who was hit and how the run ended.
    fn round(
        &self,
        random: &mut Rng,
        fire: Fire,
        mark: &str,
    ) -> Result<(&'static str, String, Duration), String> {
        let installers = Installer::all();
        let installer = installers[random.usize(..installers.len())];
        let is_cold = random.usize(..100) < 60;
        if is_cold {
            self.clear();
        }
        let program = self.program(installer, mark);
        let span = self.takes[&(installer.name(), is_cold)].mul_f64(1.1);
        let mut child = program.spawn();
        std::thread::sleep(
            span.mul_f64(f64::from(u32::try_from(random.usize(..1000)).unwrap()) / 1000.0),
        );

        let (victim, target) = if fire == Fire::Interrupt {
            ("us", child.id())
        } else {
            choose(random, mark, child.id())
        };
        let signal = if fire == Fire::Interrupt { Signal::INT } else { Signal::KILL };
        // It may have ended in the meantime, or be our own child, not waited for yet: both are
        // fine.
        let _ = rustix::process::kill_process(pid(target), signal);
        let start = Instant::now();
        let status = loop {
            match child.try_wait().unwrap() {
                Some(status) => break status,
                None if start.elapsed() > PATIENCE => {
                    return Err(format!("hangs once {victim} was hit: {:?}", census(mark)));
                }
                None => std::thread::sleep(Duration::from_millis(2)),
            }
        };
        let took = start.elapsed();
        if fire == Fire::Interrupt {
            let left = census(mark);
            if !left.is_empty() {
                return Err(format!("left after Ctrl-C: {left:?}"));
            }
            let litter = self.project.list(".pyenv-build/tmp");
            if !litter.is_empty() {
                return Err(format!("left in tmp after Ctrl-C: {litter:?}"));
            }
        }
        while !census(mark).is_empty() {
            if start.elapsed() > PATIENCE {
                return Err(format!("left once {victim} was hit: {:?}", census(mark)));
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        let said = String::from_utf8_lossy(&child.wait_with_output().unwrap().stderr).into_owned();
        let ending = match (status.code(), status.signal()) {
            (Some(code), _) => code.to_string(),
            (None, signal) => format!("signal {}", signal.unwrap_or_default()),
        };
        let allowed: &[&str] = match (fire, victim) {
            // Before it listens for Ctrl-C, a process simply ends.
            (Fire::Interrupt, _) => &["0", "130", "signal 2"],
            (Fire::Kill, "us") => &["0", "signal 9"],
            (Fire::Kill, _) => &["0", "1", "4"],
        };
        if !allowed.contains(&ending.as_str()) {
            return Err(format!("ended with {ending} once {victim} was hit: {said}"));
        }
        if let Some(damage) = self.damage() {
            return Err(format!("once {victim} was hit: {damage}"));
        }
        let next = self.program(installer, &format!("{mark}, next")).run();
        if next.code != Some(0) {
            return Err(format!(
                "the run after {victim} was hit ended with {:?}: {}",
                next.code, next.stderr
            ));
        }
        match self.damage() {
            Some(damage) => Err(format!("after the run after {victim} was hit: {damage}")),
            None => Ok((victim, ending, took)),
        }
    }
}

/// Files below a directory; of those that the interpreter compiles only the name counts.
fn content(directory: &Path) -> BTreeSet<(String, u64)> {
    let entries = walkdir::WalkDir::new(directory)
        .into_iter()
        .map(Result::unwrap)
        .filter(|entry| !entry.file_type().is_dir());
    entries
        .map(|entry| {
            let is_compiled = entry.path().extension().is_some_and(|extension| extension == "pyc");
            let size = if is_compiled { 0 } else { entry.path().symlink_metadata().unwrap().len() };
            (entry.path().strip_prefix(directory).unwrap().to_string_lossy().into_owned(), size)
        })
        .collect()
}

/// Whom to hit: first the kind, so that all kinds have their turn, then one of it.
fn choose(random: &mut Rng, mark: &str, us: u32) -> (&'static str, u32) {
    let mut kinds: BTreeMap<&'static str, Vec<u32>> = BTreeMap::from([("us", vec![us])]);
    for process in processes(mark) {
        let kind = match process {
            Process { pid, .. } if pid == us => continue,
            Process { parent, ref command, .. } if command.contains("/hookd/hookd-") => {
                if parent == us { "hookd" } else { "a keeper or hook" }
            }
            _ => "another child",
        };
        kinds.entry(kind).or_default().push(process.pid);
    }
    let names: Vec<&'static str> = kinds.keys().copied().collect();
    let kind = names[random.usize(..names.len())];
    (kind, kinds[kind][random.usize(..kinds[kind].len())])
}

fn fire(fire: Fire, rounds: usize) {
    let number = |name: &str| std::env::var(name).ok().map(|text| text.parse::<u64>().unwrap());
    let rounds =
        number("PYENV_BUILD_FIRE_ROUNDS").map_or(rounds, |rounds| usize::try_from(rounds).unwrap());
    let seed = number("PYENV_BUILD_FIRE_SEED").unwrap_or(1);
    eprintln!("{fire:?}: {rounds} rounds, PYENV_BUILD_FIRE_SEED={seed}");
    let range = Range::new();
    let mut random = Rng::with_seed(seed);
    let mut outcomes: BTreeMap<(&str, String), usize> = BTreeMap::new();
    let mut longest = Duration::ZERO;
    let mut failures = Vec::new();
    for round in 0..rounds {
        let mark = format!("{} round {round}", range.test.path.display());
        match range.round(&mut random, fire, &mark) {
            Ok((victim, ending, took)) => {
                *outcomes.entry((victim, ending)).or_default() += 1;
                longest = longest.max(took);
            }
            Err(failure) => {
                eprintln!("round {round}: {failure}");
                failures.push(format!("round {round}: {failure}"));
                for process in processes(&mark) {
                    let _ = rustix::process::kill_process(pid(process.pid), Signal::KILL);
                }
            }
        }
    }
    eprintln!(
        "{fire:?}: who was hit and how the run ended: {outcomes:?}; the longest end took {longest:?}"
    );
    assert!(
        failures.is_empty(),
        "{} of {rounds} rounds of seed {seed}:\n{}",
        failures.len(),
        failures.join("\n")
    );
    range.test.program(&["gc"]).in_(&range.project).run().success();
}

#[test]
fn whoever_is_killed_nothing_is_left_and_the_next_run_succeeds() {
    fire(Fire::Kill, 4);
}

#[test]
fn ctrl_c_leaves_nothing_at_any_moment() {
    fire(Fire::Interrupt, 3);
}

#[test]
fn half_made_environments_would_be_noticed() {
    let range = Range::new();
    assert_eq!(range.damage(), None);
    let name = range.project.envs().remove(0);
    let file = range.project.root().join("envs").join(name).join("pyvenv.cfg");
    std::fs::remove_file(file).unwrap();
    assert!(range.damage().unwrap().contains("is not whole"));
    wait_until("nobody is left", || census("calibration").is_empty());
}
