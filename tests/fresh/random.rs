//! Everything that can happen, in any order: scripts of random steps, and after each build the
//! programs print what a clean build's would.
//!
//! `PYENV_BUILD_RANDOM_SEED` and `PYENV_BUILD_RANDOM_SCRIPTS` choose others than those of every
//! run.

use std::fmt::Write as _;

use fastrand::Rng;

use crate::machine::{Cache, How, Machine};
use crate::tree::Node;

/// Files that cargo and rustc look at by themselves, with a template; whether a date that deceives
/// is found out.
const SEEN: &[(&str, &str, bool)] = &[
    ("app/src/part.rs", "pub const V: &str = \"#\";\n", true),
    ("app/src/turn_a.rs", "pub const V: &str = \"#\";\n", true),
    ("app/src/turn_b.rs", "pub const V: &str = \"#\";\n", true),
    ("app/src/bytes.bin", "#\n", true),
    ("mid/src/value.in", "\"#\"\n", true),
    ("mid/data/a.txt", "#\n", true),
    ("mid/data/deep/b.txt", "#\n", true),
    ("user/src/value.rs", "pub const V: &str = \"#\";\n", true),
    ("macros/src/value.in", "\"#\"\n", true),
    ("shared/text.txt", "#\n", false),
    ("mid/in.txt", "#\n", false),
];

/// Files that only a build script or a macro knows of: for cargo they change with the checkout.
const UNSEEN: &[(&str, &str)] =
    &[("mid/secret.txt", "#\n"), ("user/words.txt", "#\n"), ("mid/.hidden", "#\n")];

/// A change in the checkout as it stands.
fn edit(machine: &mut Machine, random: &mut Rng) -> String {
    let value = format!("v{}", random.u64(..3));
    let &(name, template, is_found_out) = random.choice(SEEN).unwrap();
    let text = template.replace('#', &value);
    match random.u64(..16) {
        0..=5 => {
            machine.put(name, Node::File(text));
            format!("{name} = {value}")
        }
        6 if is_found_out => {
            machine.put(name, Node::File(text));
            machine.date_back(name);
            format!("{name} = {value}, dated back")
        }
        7 if is_found_out => {
            let date = filetime::FileTime::from_last_modification_time(
                &std::fs::metadata(machine.real(name)).unwrap(),
            );
            machine.put(name, Node::File(text));
            filetime::set_file_mtime(machine.real(name), date).unwrap();
            format!("{name} = {value}, date kept")
        }
        8 if is_found_out => {
            machine.move_over(name, Node::File(text));
            format!("{name} = {value}, an old file moved over it")
        }
        9 => {
            machine.touch(name);
            format!("{name} touched")
        }
        10 => {
            let target = *random.choice(&["turn_a.rs", "turn_b.rs"]).unwrap();
            machine.put("app/src/turned.rs", Node::Link(target.to_owned()));
            format!("turned.rs -> {target}")
        }
        11 => {
            let name = *random.choice(&["mid/data/extra.txt", "mid/data/deep/extra.txt"]).unwrap();
            machine.toggle(name, Node::File(format!("{value}\n")));
            format!("{name} = {value}, or it goes")
        }
        12 => {
            machine.module_to_directory();
            "the module is moved to a directory, or back".to_owned()
        }
        13 => {
            machine.toggle(
                "app/build.rs",
                Node::File(format!(
                    "fn main() {{ println!(\"cargo:rustc-env=APP_BUILT={value}\"); }}\n"
                )),
            );
            format!("app/build.rs = {value}, or it goes")
        }
        14 => {
            machine.toggle("more/src/lib.rs", Node::File("pub fn f() {}\n".to_owned()));
            "a crate is added, or goes".to_owned()
        }
        _ => {
            machine.swap("app/src/turn_a.rs", "app/src/turn_b.rs");
            "two sources change places".to_owned()
        }
    }
}

/// A change that comes with a fresh checkout.
fn edit_unseen(machine: &mut Machine, random: &mut Rng) -> String {
    let value = format!("v{}", random.u64(..3));
    match random.u64(..7) {
        0..=2 => {
            let (name, template) = random.choice(UNSEEN).unwrap();
            machine.tree.insert((*name).to_owned(), Node::File(template.replace('#', &value)));
            format!("{name} = {value}")
        }
        3 => {
            machine.tree.insert(
                "mid/pointer".to_owned(),
                Node::Link((*random.choice(&["in.txt", "secret.txt"]).unwrap()).to_owned()),
            );
            "mid/pointer is turned".to_owned()
        }
        4 => {
            machine.is_tool_executable = !machine.is_tool_executable;
            "the mode of tool.sh".to_owned()
        }
        5 => {
            machine.branch = format!("b{}", random.u64(..3));
            format!("HEAD is {}", machine.branch)
        }
        _ => {
            machine.stamp = Some(value.clone()).filter(|_| random.u64(..100) < 70);
            format!("WORLD_STAMP = {:?}", machine.stamp)
        }
    }
}

fn script(machine: &mut Machine, seed: u64, log: &mut String) {
    let mut random = Rng::with_seed(seed);
    machine.begin();
    if random.u64(..100) < 90 {
        machine.restore("first.tar");
    }
    let mut saved = vec!["first.tar".to_owned()];
    let mut branches = vec![machine.tree.clone()];
    let note = |log: &mut String, text: &str| {
        let _ = writeln!(log, "{text}");
    };
    for step in 0..2 + random.u64(..3) {
        match random.u64(..10) {
            0..=4 if step > 0 => {
                for _ in 0..random.u64(..3) {
                    note(log, &edit_unseen(machine, &mut random));
                }
                let cache = *random
                    .choice(&[
                        Cache::Both,
                        Cache::Both,
                        Cache::Target,
                        Cache::Store,
                        Cache::WithoutOwn,
                    ])
                    .unwrap();
                let name = format!("saved-{step}.tar");
                machine.save(&name, cache);
                saved.push(name.clone());
                let name = if random.u64(..100) < 25 {
                    random.choice(&saved).unwrap().clone()
                } else {
                    name
                };
                machine.check_out();
                machine.restore(&name);
                note(log, &format!("next job, cache {cache:?}, restored {name}"));
                if random.u64(..100) < 20 {
                    machine.date_back("app/src/part.rs");
                    machine.date_back("mid/src/value.in");
                    note(log, "sources dated back");
                }
            }
            5 if step > 0 => {
                let to = random.choice(&branches).unwrap().clone();
                machine.switch(&to, SEEN.iter().map(|(name, ..)| *name));
                note(log, "another branch, in place");
            }
            6 => {
                machine.world.plain("clean -p app");
                note(log, "cargo clean -p app");
            }
            7 => {
                machine.lose_outputs(&mut random);
                note(log, "some outputs are gone");
            }
            _ => {}
        }
        for _ in 0..random.u64(..3) {
            note(log, &edit(machine, &mut random));
        }
        branches.push(machine.tree.clone());
        let how = How {
            is_loud: (random.u64(..100) < 15),
            is_release: (random.u64(..100) < 8),
            colour: (random.u64(..100) < 15)
                .then(|| (*random.choice(&["red", "blue"]).unwrap()).to_owned()),
            target: if random.u64(..100) < 8 { Some("target/other") } else { None },
        };
        match random.u64(..16) {
            0 => {
                machine.world.plain(&how.words());
                note(log, "plain cargo first");
            }
            1 => {
                machine.killed(&how, random.u64(..400));
                note(log, "a build that is killed first");
            }
            2 => {
                machine.world.build("check");
                note(log, "cargo check first");
            }
            3 => {
                machine.broken();
                note(log, "a build that fails first");
            }
            4 => {
                machine.world.build("clippy -q");
                note(log, "cargo clippy first");
            }
            5 if machine.carry_store() => note(log, "the store is exported and imported"),
            _ => {}
        }
        note(log, &format!("build {how:?}"));
        let is_compared = random.u64(..100) < 4;
        machine.build_right(&how, is_compared, log);
    }
}

pub(crate) fn number(name: &str, default: u64) -> u64 {
    std::env::var(name)
        .map_or(default, |text| text.parse().unwrap_or_else(|error| panic!("{name}: {error}")))
}

/// The scripts of one half, for a machine of its own.
fn half(rest: u64) {
    let seed = number("PYENV_BUILD_RANDOM_SEED", 1);
    let count = number("PYENV_BUILD_RANDOM_SCRIPTS", 4);
    println!(
        "{count} scripts from seed {seed} (PYENV_BUILD_RANDOM_SCRIPTS, PYENV_BUILD_RANDOM_SEED), of which every second"
    );
    let mut machine = Machine::new();
    let (mut builds, mut reused) = (0, 0);
    for number in (0..count).filter(|number| number % 2 == rest) {
        let mut log = String::new();
        let seed = seed + number;
        let ended = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            script(&mut machine, seed, &mut log);
        }));
        if let Err(panic) = ended {
            println!("script of seed {seed}:\n{log}");
            std::panic::resume_unwind(panic);
        }
        builds += machine.builds;
        reused += machine.reused;
    }
    println!("{builds} builds, {reused} crates reused");
    assert!(
        count < 12 || reused * 2 > builds,
        "these scripts show little: {reused} crates reused in {builds} builds"
    );
}

#[test]
fn whatever_happens_nothing_is_stale_one() {
    half(0);
}

#[test]
fn whatever_happens_nothing_is_stale_two() {
    half(1);
}
