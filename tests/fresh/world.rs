//! A checkout of a Cargo workspace whose program prints everything it was compiled from, and a model that knows what a clean
//! build would print.
//!
//! | package | looks at |
//! |---|---|
//! | `app` | its sources, the feature `loud`, `option_env!("WORLD_COLOUR")`, and all below |
//! | `listed` | by its build script: the directory `data` and `one.txt`, both declared; a link to `../shared/linked` |
//! | `old` | by its build script, which declares nothing: every file in `assets` |
//! | `hidden` | by its build script, which declares something else: `secret.txt`; `CARGO_PKG_DESCRIPTION` at run time |
//! | `maker` | by its build script, which declares `recipe.txt`: `made/part.rs`, which that writes and git ignores |
//! | `macros`, `user` | a procedural macro that reads `user/words.txt` unseen |
//! | `shared/text.txt` | included by `listed` from outside of its package |

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::{Duration, SystemTime};

use filetime::FileTime;

/// What is at a path of the tree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Node {
    File(String),
    Link(String),
}

/// How a build is called.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct How {
    pub release: bool,
    pub loud: bool,
    pub colour: Option<String>,
    /// Build only this package.
    pub only: Option<&'static str>,
    /// Without us: plain cargo.
    pub plain: bool,
    pub freshness: Option<&'static str>,
}

/// What a build came to.
#[derive(Debug, Clone)]
pub(crate) struct Built {
    pub ok: bool,
    /// What the program printed.
    pub printed: String,
    /// Crates that were compiled, in order.
    pub compiled: Vec<String>,
    pub report: serde_json::Value,
    pub stderr: String,
}

pub(crate) struct World {
    _directory: tempfile::TempDir,
    pub base: PathBuf,
    /// The checkout.
    pub path: PathBuf,
    pub tree: BTreeMap<String, Node>,
}

fn sources() -> BTreeMap<String, Node> {
    let mut tree = BTreeMap::new();
    let mut file = |name: &str, text: &str| {
        tree.insert(name.to_owned(), Node::File(text.to_owned()));
    };
    file(".gitignore", "target\nmade\n");
    file(
        "Cargo.toml",
        "[workspace]\nresolver = '2'\nmembers = ['app', 'listed', 'old', 'hidden', 'maker', 'macros', 'user']\n[profile.dev]\ndebug = 0\nincremental = false\n\
         [profile.release]\nopt-level = 0\n",
    );
    let package = |name: &str, rest: &str| format!("[package]\nname = '{name}'\nversion = '0.1.0'\nedition = '2021'\n{rest}");
    file(
        "app/Cargo.toml",
        &package(
            "app",
            "[features]\nloud = []\n[dependencies]\nlisted = {path = '../listed'}\nold = {path = '../old'}\nhidden = {path = '../hidden'}\nmaker = {path = '../maker'}\nuser = {path = '../user'}\n",
        ),
    );
    file(
        "app/src/main.rs",
        "mod part;\nfn main() {\n    println!(\"part={}\", part::VALUE);\n    println!(\"loud={}\", cfg!(feature = \"loud\"));\n    \
         println!(\"colour={}\", option_env!(\"WORLD_COLOUR\").unwrap_or(\"none\"));\n    println!(\"listed={}\", listed::all());\n    \
         println!(\"old={}\", old::ASSETS);\n    println!(\"hidden={}\", hidden::SECRET);\n    println!(\"made={}\", maker::MADE);\n    println!(\"user={}\", user::words());\n}\n",
    );
    file("app/src/part.rs", "pub const VALUE: &str = \"p0\";\n");
    file("listed/Cargo.toml", &package("listed", ""));
    file(
        "listed/build.rs",
        "use std::{env, fs, path::{Path, PathBuf}};\nfn walk(directory: &Path, all: &mut Vec<PathBuf>) {\n    for entry in fs::read_dir(directory).unwrap() {\n        \
         let path = entry.unwrap().path();\n        if path.is_dir() { walk(&path, all) } else { all.push(path) }\n    }\n}\nfn main() {\n    \
         println!(\"cargo:rerun-if-changed=data\");\n    println!(\"cargo:rerun-if-changed=one.txt\");\n    println!(\"cargo:rerun-if-changed=build.rs\");\n    \
         println!(\"cargo:rerun-if-changed=pointer\");\n    let mut all = Vec::new();\n    walk(Path::new(\"data\"), &mut all);\n    all.sort();\n    let mut text = String::new();\n    \
         for path in all { text += &format!(\"{}:{} \", path.file_name().unwrap().to_str().unwrap(), fs::read_to_string(&path).unwrap().trim()); }\n    \
         text += fs::read_to_string(\"one.txt\").unwrap().trim();\n    text += \" \";\n    text += fs::read_to_string(\"pointer\").unwrap().trim();\n    \
         fs::write(Path::new(&env::var(\"OUT_DIR\").unwrap()).join(\"all.txt\"), text).unwrap();\n}\n",
    );
    file(
        "listed/src/lib.rs",
        "#[path = \"turned.rs\"]\nmod turned;\npub fn all() -> String {\n    format!(\"{} {} {}\", include_str!(concat!(env!(\"OUT_DIR\"), \"/all.txt\")), \
         include_str!(\"../../shared/text.txt\").trim(), turned::VALUE)\n}\n",
    );
    file("listed/src/turn_a.rs", "pub const VALUE: &str = \"ta\";\n");
    file("listed/src/turn_b.rs", "pub const VALUE: &str = \"tb\";\n");
    file("listed/data/a.txt", "a0\n");
    file("listed/data/deep/b.txt", "b0\n");
    file("listed/one.txt", "one0\n");
    file("shared/text.txt", "text0\n");
    file("shared/linked_a.txt", "la\n");
    file("shared/linked_b.txt", "lb\n");
    file("old/Cargo.toml", &package("old", ""));
    file(
        "old/build.rs",
        "use std::{env, fs, path::Path};\nfn main() {\n    let mut names: Vec<_> = fs::read_dir(\"assets\").unwrap().map(|entry| entry.unwrap().path()).collect();\n    \
         names.sort();\n    let text: Vec<String> = names.iter().map(|path| format!(\"{}:{}\", path.file_name().unwrap().to_str().unwrap(), fs::read_to_string(path).unwrap().trim())).collect();\n    \
         fs::write(Path::new(&env::var(\"OUT_DIR\").unwrap()).join(\"assets.txt\"), text.join(\" \")).unwrap();\n}\n",
    );
    file("old/src/lib.rs", "pub const ASSETS: &str = include_str!(concat!(env!(\"OUT_DIR\"), \"/assets.txt\"));\n");
    file("old/assets/x.txt", "x0\n");
    file("old/assets/y.txt", "y0\n");
    file("hidden/Cargo.toml", &package("hidden", "description = 'd0'\n"));
    file(
        "hidden/build.rs",
        "use std::{env, fs, path::Path};\nfn main() {\n    println!(\"cargo:rerun-if-changed=build.rs\");\n    let text = format!(\"{} {}\", \
         fs::read_to_string(\"secret.txt\").unwrap().trim(), env::var(\"CARGO_PKG_DESCRIPTION\").unwrap());\n    \
         fs::write(Path::new(&env::var(\"OUT_DIR\").unwrap()).join(\"secret.txt\"), text).unwrap();\n}\n",
    );
    file("hidden/src/lib.rs", "pub const SECRET: &str = include_str!(concat!(env!(\"OUT_DIR\"), \"/secret.txt\"));\n");
    file("hidden/secret.txt", "s0\n");
    file("maker/Cargo.toml", &package("maker", ""));
    file(
        "maker/build.rs",
        "use std::fs;\nfn main() {\n    println!(\"cargo:rerun-if-changed=build.rs\");\n    println!(\"cargo:rerun-if-changed=recipe.txt\");\n    \
         let text = format!(\"pub const MADE: &str = {:?};\\n\", fs::read_to_string(\"recipe.txt\").unwrap().trim());\n    \
         if fs::read_to_string(\"made/part.rs\").ok().as_ref() == Some(&text) { return }\n    \
         fs::create_dir_all(\"made\").unwrap();\n    fs::write(\"made/part.rs\", text).unwrap();\n}\n",
    );
    file("maker/src/lib.rs", "include!(\"../made/part.rs\");\n");
    file("maker/recipe.txt", "r0\n");
    file("macros/Cargo.toml", &package("macros", "[lib]\nproc-macro = true\n"));
    file(
        "macros/src/lib.rs",
        "use proc_macro::TokenStream;\n#[proc_macro]\npub fn words(_: TokenStream) -> TokenStream {\n    let path = std::path::Path::new(&std::env::var(\"CARGO_MANIFEST_DIR\").unwrap()).join(\"words.txt\");\n    \
         format!(\"{:?}\", std::fs::read_to_string(path).unwrap().trim()).parse().unwrap()\n}\n",
    );
    file("user/Cargo.toml", &package("user", "[dependencies]\nmacros = {path = '../macros'}\n"));
    file("user/src/lib.rs", "pub fn words() -> String { format!(\"{} {}\", macros::words!(), VALUE) }\nconst VALUE: &str = \"u0\";\n");
    file("user/words.txt", "w0\n");
    file("user/python/mine.py", "x = 0\n");
    file("README.md", "nothing that cargo looks at\n");
    tree.insert("listed/src/turned.rs".to_owned(), Node::Link("turn_a.rs".to_owned()));
    tree.insert("listed/pointer".to_owned(), Node::Link("../shared/linked_a.txt".to_owned()));
    tree
}

impl World {
    pub(crate) fn new() -> Self {
        let directory = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
        let base = directory.path().canonicalize().unwrap();
        let world = Self { path: base.join("checkout"), base, _directory: directory, tree: sources() };
        world.check_out();
        world
    }

    /// As it was at first, in a new checkout.
    pub(crate) fn begin_again(&mut self) {
        self.tree = sources();
        self.check_out();
    }

    /// The content of a file of the tree, without its line feed.
    fn text(&self, name: &str) -> &str {
        match &self.tree[name] {
            Node::File(text) => text.trim(),
            Node::Link(target) => {
                let directory = Path::new(name).parent().unwrap();
                let mut parts: Vec<&str> = directory.iter().map(|part| part.to_str().unwrap()).collect();
                for part in target.split('/') {
                    if part == ".." {
                        parts.pop();
                    } else {
                        parts.push(part);
                    }
                }
                self.text(&parts.join("/"))
            }
        }
    }

    /// What stands between the quotes of a Rust file.
    fn quoted(&self, name: &str) -> &str {
        let text = self.text(name);
        text.rsplit('"').nth(1).unwrap()
    }

    fn below(&self, directory: &str, full: bool) -> Vec<(String, String)> {
        let prefix = format!("{directory}/");
        let files = self.tree.keys().filter(|name| name.starts_with(&prefix));
        let mut files: Vec<(String, String)> = files
            .map(|name| {
                let shown = if full { name.clone() } else { name.rsplit('/').next().unwrap().to_owned() };
                (shown, self.text(name).to_owned())
            })
            .collect();
        files.sort_by(|one, other| Path::new(&one.0).cmp(Path::new(&other.0)));
        files
    }

    /// What a clean build would print.
    pub(crate) fn expected(&self, how: &How) -> String {
        let data: Vec<String> =
            self.below("listed/data", true).iter().map(|(name, text)| format!("{}:{text} ", name.rsplit('/').next().unwrap())).collect();
        let data = data.concat();
        let assets: Vec<String> = self.below("old/assets", false).iter().map(|(name, text)| format!("{name}:{text}")).collect();
        let manifest = self.text("hidden/Cargo.toml");
        let description = manifest.split("description = '").nth(1).unwrap().split('\'').next().unwrap();
        let value = self.text("user/src/lib.rs").rsplit('"').nth(1).unwrap();
        format!(
            "part={}\nloud={}\ncolour={}\nlisted={data}{} {} {} {}\nold={}\nhidden={} {description}\nmade={}\nuser={} {value}\n",
            self.quoted(if self.tree.contains_key("app/src/part.rs") { "app/src/part.rs" } else { "app/src/part/mod.rs" }),
            how.loud,
            how.colour.as_deref().unwrap_or("none"),
            self.text("listed/one.txt"),
            self.text("listed/pointer"),
            self.text("shared/text.txt"),
            self.quoted("listed/src/turned.rs"),
            assets.join(" "),
            self.text("hidden/secret.txt"),
            self.text("maker/recipe.txt"),
            self.text("user/words.txt"),
        )
    }

    pub(crate) fn at(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    /// Writes the whole tree anew, every date being new: what a checkout on a fresh machine does.
    pub(crate) fn check_out(&self) {
        let _ = std::fs::remove_dir_all(&self.path);
        std::fs::create_dir_all(&self.path).unwrap();
        for name in self.tree.keys() {
            self.put(name);
        }
        run(Command::new("git").args(["init", "-q"]).current_dir(&self.path));
        run(Command::new("git").args(["add", "-A"]).current_dir(&self.path));
    }

    /// Writes one file of the tree to the checkout, or removes it there.
    pub(crate) fn put(&self, name: &str) {
        let path = self.at(name);
        let _ = std::fs::remove_file(&path);
        match self.tree.get(name) {
            None => {}
            Some(node) => {
                std::fs::create_dir_all(path.parent().unwrap()).unwrap();
                match node {
                    Node::File(text) => std::fs::write(&path, text).unwrap(),
                    Node::Link(target) => link(target, &path),
                }
            }
        }
    }

    pub(crate) fn write(&mut self, name: &str, text: &str) {
        self.tree.insert(name.to_owned(), Node::File(text.to_owned()));
        self.put(name);
    }

    pub(crate) fn turn(&mut self, name: &str, target: &str) {
        self.tree.insert(name.to_owned(), Node::Link(target.to_owned()));
        self.put(name);
    }

    pub(crate) fn remove(&mut self, name: &str) {
        self.tree.remove(name);
        self.put(name);
    }

    pub(crate) fn replace(&mut self, name: &str, from: &str, to: &str) {
        let Node::File(text) = &self.tree[name] else { panic!("{name} is no file") };
        let text = text.replace(from, to);
        self.write(name, &text);
    }

    /// Gives a file, or a link itself, another date, relative to now.
    pub(crate) fn date(&self, name: &str, ago: i64) {
        let now = FileTime::from_system_time(SystemTime::now());
        let time = FileTime::from_unix_time(now.unix_seconds() - ago, now.nanoseconds());
        filetime::set_symlink_file_times(self.at(name), time, time).unwrap();
    }

    /// Saves what a cache would, as its tar does.
    /// What the build script of `maker` writes is kept as well, as generated sources are by those who know of them.
    pub(crate) fn save(&self, name: &str) {
        let mut parts = vec![".pyenv-build", "maker/made"];
        if self.at("target").exists() {
            parts.push("target");
        }
        parts.retain(|part| self.at(part).exists());
        run(Command::new("tar").args(["--posix", "-cf"]).arg(self.base.join(name)).args(parts).current_dir(&self.path));
    }

    pub(crate) fn restore(&self, name: &str) {
        run(Command::new("tar").arg("-xf").arg(self.base.join(name)).current_dir(&self.path));
    }

    /// The next job on a fresh machine: cache saved, everything checked out again, cache restored.
    pub(crate) fn next_job(&self) {
        self.save("cache.tar");
        self.check_out();
        self.restore("cache.tar");
    }

    /// Dates that equal the reference are what cargo itself cannot judge: its clock ticks every few milliseconds.
    pub(crate) fn tick() {
        std::thread::sleep(Duration::from_millis(12));
    }

    pub(crate) fn program(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_cargo-pyenv-build"));
        command.args(args).current_dir(&self.path);
        clean(&mut command);
        command
    }

    /// Builds, runs what was built, and tells what was compiled.
    pub(crate) fn build(&self, how: &How) -> Built {
        Self::tick();
        let mut words = vec!["cargo", "build", "--offline", "-q"];
        match how.only {
            Some(package) => words.extend(["-p", package]),
            None => words.extend(["-p", "app"]),
        }
        if how.release {
            words.push("--release");
        }
        if how.loud && how.only.is_none() {
            words.extend(["--features", "app/loud"]);
        }
        let mut command = if how.plain {
            let mut command = Command::new(words[0]);
            command.args(&words[1..]).current_dir(&self.path);
            clean(&mut command);
            command
        } else {
            let mut command = self.program(&["run"]);
            if let Some(mode) = how.freshness {
                command.args(["--freshness", mode]);
            }
            command.arg("--").args(&words);
            command
        };
        if let Some(colour) = &how.colour {
            command.env("WORLD_COLOUR", colour);
        }
        let output = command.output().unwrap();
        let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
        let mut built =
            Built { ok: output.status.success(), printed: String::new(), compiled: Vec::new(), report: serde_json::Value::Null, stderr };
        if !how.plain {
            let report =
                std::fs::read(self.at(".pyenv-build/reports/last.json")).unwrap_or_else(|error| panic!("{error}: {}", built.stderr));
            built.report = serde_json::from_slice(&report).unwrap();
            let compiled = built.report["crates"]["compiled"].as_array().unwrap();
            built.compiled = compiled.iter().map(|one| one["name"].as_str().unwrap().to_owned()).collect();
        }
        if built.ok && how.only.is_none() {
            let program = self.at("target").join(if how.release { "release" } else { "debug" }).join("app");
            built.printed = String::from_utf8(run(&mut Command::new(program)).stdout).unwrap();
        }
        built
    }

    /// Builds, and fails unless what was built is what a clean build would have made.
    #[track_caller]
    pub(crate) fn build_right(&self, how: &How) -> Built {
        let built = self.build(how);
        assert!(built.ok, "{}", built.stderr);
        assert_eq!(built.printed, self.expected(how), "STALE. compiled: {:?}\n{}", built.compiled, built.stderr);
        built
    }
}

#[cfg(unix)]
fn link(target: &str, path: &Path) {
    std::os::unix::fs::symlink(target, path).unwrap();
}

#[cfg(not(unix))]
fn link(_target: &str, _path: &Path) {
    unreachable!("such tests are skipped")
}

/// Without what would change the build.
fn clean(command: &mut Command) {
    for (name, _) in std::env::vars_os() {
        let name = name.to_string_lossy().into_owned();
        let is_cargos = name.starts_with("CARGO") && !["CARGO_HOME", "CARGO_INCREMENTAL"].contains(&name.as_str());
        if is_cargos || name.starts_with("PYENV_BUILD") || name.starts_with("RUST") && name != "RUSTUP_HOME" && name != "RUSTUP_TOOLCHAIN" {
            command.env_remove(name);
        }
    }
    command.env_remove("CARGO_INCREMENTAL");
}

pub(crate) fn run(command: &mut Command) -> Output {
    let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    output
}
