//! What a bench has measured, as a file for `benches/render.py`: every single time, the machine,
//! the versions.
//!
//! ```json
//! {"schema": 1, "bench": "warm", "program": "0.1.0",
//!  "machine": {"os": "linux", "arch": "x86_64", "processors": 8, "processor": "...", "rustc": "rustc 1.95.0 (...)"},
//!  "tables": [{"title": "rpds_py-2026.9.1, nothing to do", "reference": "build",
//!              "rows": [{"name": "build", "seconds": [0.18, 0.19]}]}]}
//! ```

#![expect(clippy::disallowed_methods, reason = "a benchmark is outside of the crate's doors")]
#![expect(clippy::unwrap_used, reason = "a benchmark that cannot go on may stop anywhere")]

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::{Value, json};

/// The results of one run.
pub(crate) struct Results {
    bench: &'static str,
    file: Option<PathBuf>,
    tables: Vec<Value>,
}

impl Results {
    /// To be written to the file that `--json` names, if it is given.
    pub(crate) fn new(bench: &'static str, file: Option<String>) -> Self {
        // `cargo bench` runs in the package's directory, where relative paths are meant.
        Self { bench, file: file.map(PathBuf::from), tables: Vec::new() }
    }

    /// Adds what was measured in turn: each row's name and times. `reference`: the row that the
    /// others are compared with.
    pub(crate) fn table(&mut self, title: &str, reference: &str, rows: &[(&str, &[f64])]) {
        assert!(rows.iter().any(|(name, _)| *name == reference));
        let rows: Vec<Value> =
            rows.iter().map(|(name, seconds)| json!({"name": name, "seconds": seconds})).collect();
        self.tables.push(json!({"title": title, "reference": reference, "rows": rows}));
    }

    /// Writes the file, once all is measured.
    pub(crate) fn write(self) {
        let Some(file) = self.file else { return };
        let rustc = Command::new("rustc").arg("--version").output().unwrap();
        let run = json!({
            "schema": 1,
            "bench": self.bench,
            "program": env!("CARGO_PKG_VERSION"),
            "machine": {
                "os": std::env::consts::OS,
                "arch": std::env::consts::ARCH,
                "processors": std::thread::available_parallelism().unwrap().get(),
                "processor": processor(),
                "rustc": String::from_utf8(rustc.stdout).unwrap().trim(),
            },
            "tables": self.tables,
        });
        if let Some(parent) = file.parent().filter(|parent| *parent != Path::new("")) {
            std::fs::create_dir_all(parent).unwrap();
        }
        std::fs::write(file, serde_json::to_string_pretty(&run).unwrap() + "\n").unwrap();
    }
}

/// Its name, where the system has it in a file.
fn processor() -> Option<String> {
    let text = std::fs::read_to_string("/proc/cpuinfo").ok()?;
    let line = text.lines().find(|line| line.starts_with("model name"))?;
    Some(line.split_once(':')?.1.trim().to_owned())
}
