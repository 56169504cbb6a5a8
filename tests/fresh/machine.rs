//! What random scripts happen to: a workspace whose programs print everything they were compiled
//! from, and a model that knows what a clean build would print.
//!
//! | package | looks at |
//! | --- | --- |
//! | `app` | its sources, one of them a link; the feature `loud`; `WORLD_COLOUR`; `shared/text.txt`; `APP_BUILT` of a build script that comes and goes; `mid` |
//! | `mid` | by its build script: what is declared (`data`, `in.txt`, by `make`) and what is not (`secret.txt`, `.hidden`, `pointer`, the mode of `tool.sh`, `WORLD_STAMP`, git's `HEAD`) |
//! | `user` | what a procedural macro of `macros` reads unseen |

use std::collections::BTreeSet;
use std::os::unix::process::CommandExt as _;
use std::path::PathBuf;
use std::process::Stdio;

use crate::tree::{self, Files, Node};
use crate::world::{Keep, World, run};
use fastrand::Rng;

pub(crate) use crate::world::Keep as Cache;

const WORKSPACE: &str = r#"
    == Cargo.toml
    [workspace]
    resolver = "2"
    members = ["app", "macros", "mid", "user"]
    [profile.dev]
    debug = 0
    [profile.release]
    opt-level = 0
    == app/Cargo.toml
    [features]
    loud = []
    [dependencies]
    mid = { path = "../mid" }
    == app/src/main.rs
    mod part;
    mod turned;
    fn main() {
        println!("part={} turned={} bytes={:?}", part::V, turned::V, include_bytes!("bytes.bin"));
        println!("loud={} colour={}", cfg!(feature = "loud"), option_env!("WORLD_COLOUR").unwrap_or("none"));
        println!("text={} built={}", include_str!("../../shared/text.txt").trim(), option_env!("APP_BUILT").unwrap_or("none"));
        println!("mid={}", mid::all());
    }
    == app/src/part.rs
    pub const V: &str = "v0";
    == app/src/turn_a.rs
    pub const V: &str = "v0";
    == app/src/turn_b.rs
    pub const V: &str = "v1";
    == app/src/turned.rs -> turn_a.rs
    == app/src/bytes.bin
    v0
    == shared/text.txt
    v0
    == mid/build.rs
    use std::{env, fs, os::unix::fs::PermissionsExt as _, path::Path, process::Command};
    fn walk(folder: &Path, all: &mut Vec<String>) {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() { walk(&path, all) } else { all.push(format!("{}:{}", path.display(), fs::read_to_string(&path).unwrap().trim())) }
        }
    }
    fn main() {
        println!("cargo:rerun-if-changed=data");
        println!("cargo:rerun-if-changed=in.txt");
        println!("cargo:rerun-if-changed=build.rs");
        let out = env::var("OUT_DIR").unwrap();
        let out = Path::new(&out);
        let mut all = Vec::new();
        walk(Path::new("data"), &mut all);
        all.sort();
        let here = env::current_dir().unwrap();
        assert!(Command::new("make").args(["-s", "-C"]).arg(out).arg("-f").arg(here.join("rules.mk")).env("FROM", &here).status().unwrap().success());
        all.push(fs::read_to_string(out.join("made.txt")).unwrap().trim().to_owned());
        all.push(fs::read_to_string("secret.txt").unwrap().trim().to_owned());
        all.push(fs::read_to_string(".hidden").unwrap().trim().to_owned());
        all.push(fs::read_link("pointer").unwrap().display().to_string());
        all.push(fs::read_to_string("pointer").unwrap().trim().to_owned());
        all.push((fs::metadata("tool.sh").unwrap().permissions().mode() & 0o111 != 0).to_string());
        all.push(env::var("WORLD_STAMP").unwrap_or_default());
        all.push(fs::read_to_string("../.git/HEAD").unwrap().trim().rsplit('/').next().unwrap().to_owned());
        fs::write(out.join("real.txt"), all.join(" ")).unwrap();
        let _ = fs::remove_file(out.join("all.txt"));
        std::os::unix::fs::symlink("real.txt", out.join("all.txt")).unwrap();
        println!("cargo:rustc-env=MID_COUNT={}", all.len());
    }
    == mid/rules.mk
    made.txt: $(FROM)/in.txt ; cp $(FROM)/in.txt made.txt
    == mid/in.txt
    v0
    == mid/secret.txt
    v0
    == mid/.hidden
    v0
    == mid/tool.sh
    echo
    == mid/pointer -> in.txt
    == mid/data/a.txt
    v0
    == mid/data/deep/b.txt
    v0
    == mid/src/lib.rs
    pub fn all() -> String { format!("{} {} {}", env!("MID_COUNT"), include!("value.in"), include_str!(concat!(env!("OUT_DIR"), "/all.txt"))) }
    == mid/src/value.in
    "v0"
    == macros/Cargo.toml
    [lib]
    proc-macro = true
    == macros/src/lib.rs
    use proc_macro::TokenStream;
    #[proc_macro]
    pub fn words(_: TokenStream) -> TokenStream {
        let text = std::fs::read_to_string(format!("{}/words.txt", std::env::var("CARGO_MANIFEST_DIR").unwrap())).unwrap();
        format!("\"{} {}\"", include!("value.in"), text.trim()).parse().unwrap()
    }
    == macros/src/value.in
    "v0"
    == user/Cargo.toml
    [dependencies]
    macros = { path = "../macros" }
    == user/src/main.rs
    mod value;
    fn main() { println!("user={} {}", macros::words!(), value::V); }
    == user/src/value.rs
    pub const V: &str = "v0";
    == user/words.txt
    v0
"#;

/// How a build is called.
#[derive(Debug, Clone, Default)]
pub(crate) struct How {
    pub is_loud: bool,
    pub is_release: bool,
    pub colour: Option<String>,
    pub target: Option<&'static str>,
}

impl How {
    pub(crate) fn words(&self) -> String {
        let mut words = "build".to_owned();
        if self.is_loud {
            words.push_str(" --features app/loud");
        }
        if self.is_release {
            words.push_str(" --release");
        }
        if let Some(target) = self.target {
            words.push_str(" --target-dir ");
            words.push_str(target);
        }
        words
    }
}

pub(crate) struct Machine {
    pub world: World,
    first: Files,
    pub tree: Files,
    pub is_tool_executable: bool,
    /// The name of git's branch.
    pub branch: String,
    pub stamp: Option<String>,
    pub builds: usize,
    pub reused: usize,
    /// Whether the program can carry a store; `None`: not asked yet.
    can_carry: Option<bool>,
}

impl Machine {
    /// With `first.tar`, the cache of a first build.
    pub(crate) fn new() -> Self {
        let mut first = tree::parse(WORKSPACE);
        let world = World::with(&first);
        for name in ["Cargo.lock", ".gitignore"] {
            first.insert(
                name.to_owned(),
                Node::File(std::fs::read_to_string(world.origin.join(name)).unwrap()),
            );
        }
        let mut machine = Self {
            world,
            tree: first.clone(),
            first,
            is_tool_executable: false,
            branch: "b0".into(),
            stamp: None,
            builds: 0,
            reused: 0,
            can_carry: None,
        };
        machine.begin();
        machine.build_right(&How::default(), true, "the first build");
        machine.save("first.tar", Cache::Both);
        machine
    }

    pub(crate) fn begin(&mut self) {
        (self.tree, self.is_tool_executable, self.branch, self.stamp) =
            (self.first.clone(), false, "b0".to_owned(), None);
        (self.builds, self.reused) = (0, 0);
        self.world.unset("WORLD_COLOUR");
        self.check_out();
    }

    /// Everything anew.
    pub(crate) fn check_out(&mut self) {
        let checkout = self.world.checkout.clone();
        tree::remove(&checkout);
        tree::write(&checkout, &self.tree);
        run(self.world.tool("git").args(["init", "-q", "-b", &self.branch]).current_dir(&checkout));
        let mode = if self.is_tool_executable { 0o755 } else { 0o644 };
        std::fs::set_permissions(
            checkout.join("mid/tool.sh"),
            std::os::unix::fs::PermissionsExt::from_mode(mode),
        )
        .unwrap();
        match &self.stamp {
            Some(stamp) => self.world.set("WORLD_STAMP", stamp),
            None => self.world.unset("WORLD_STAMP"),
        }
        self.members();
    }

    pub(crate) fn save(&self, name: &str, cache: Keep) {
        self.world.save_as(name, cache);
    }

    pub(crate) fn restore(&self, name: &str) {
        self.world.load_from(name);
    }

    /// Where a file is: the module may have moved.
    fn name<'a>(&self, name: &'a str) -> &'a str {
        if name == "app/src/part.rs" && !self.tree.contains_key(name) {
            "app/src/part/mod.rs"
        } else {
            name
        }
    }

    pub(crate) fn real(&self, name: &str) -> PathBuf {
        self.world.at(self.name(name))
    }

    pub(crate) fn put(&mut self, name: &str, node: Node) {
        World::tick();
        let name = self.name(name);
        let path = self.world.at(name);
        tree::put(&path, &node);
        self.tree.insert(name.to_owned(), node);
    }

    pub(crate) fn move_over(&mut self, name: &str, node: Node) {
        World::tick();
        let name = self.name(name);
        let spare = self.world.at("spare");
        tree::put(&spare, &node);
        filetime::set_file_mtime(&spare, filetime::FileTime::from_unix_time(1_577_880_000, 0))
            .unwrap();
        std::fs::rename(spare, self.world.at(name)).unwrap();
        self.tree.insert(name.to_owned(), node);
    }

    pub(crate) fn touch(&self, name: &str) {
        World::tick();
        filetime::set_file_mtime(self.real(name), filetime::FileTime::now()).unwrap();
    }

    pub(crate) fn date_back(&self, name: &str) {
        self.world.date_back(self.name(name));
    }

    /// A file that comes or goes.
    pub(crate) fn toggle(&mut self, name: &str, node: Node) {
        World::tick();
        if self.tree.remove(name).is_some() {
            tree::remove(&self.world.at(name));
        } else {
            self.put(name, node);
        }
        self.members();
    }

    /// The crate `more` is a member while it has a source.
    fn members(&mut self) {
        let has_more = self.tree.contains_key("more/src/lib.rs");
        let Node::File(text) = &self.first["Cargo.toml"] else { unreachable!() };
        let text =
            if has_more { text.replace("\"mid\"", "\"mid\", \"more\"") } else { text.clone() };
        let is_new = self.tree.get("Cargo.toml") != Some(&Node::File(text.clone()));
        if is_new || !self.world.at("Cargo.toml").is_file() {
            tree::put(&self.world.at("Cargo.toml"), &Node::File(text.clone()));
        }
        self.tree.insert("Cargo.toml".to_owned(), Node::File(text));
        if has_more {
            let manifest = Node::File(
                "[package]\nname = \"more\"\nversion = \"0.1.0\"\nedition = \"2021\"\n".to_owned(),
            );
            if self.tree.insert("more/Cargo.toml".to_owned(), manifest.clone()).is_none() {
                tree::put(&self.world.at("more/Cargo.toml"), &manifest);
            }
        } else if self.tree.remove("more/Cargo.toml").is_some() {
            tree::remove(&self.world.at("more"));
        }
    }

    pub(crate) fn module_to_directory(&mut self) {
        World::tick();
        let (file, directory) = ("app/src/part.rs", "app/src/part/mod.rs");
        let (from, to) =
            if self.tree.contains_key(file) { (file, directory) } else { (directory, file) };
        let node = self.tree.remove(from).unwrap();
        std::fs::create_dir_all(self.world.at(to).parent().unwrap()).unwrap();
        std::fs::rename(self.world.at(from), self.world.at(to)).unwrap();
        tree::remove(&self.world.at("app/src/part"));
        if to == directory {
            tree::put(&self.world.at(directory), &node);
        }
        self.tree.insert(to.to_owned(), node);
    }

    pub(crate) fn swap(&mut self, one: &str, other: &str) {
        World::tick();
        let between = self.world.at("between");
        std::fs::rename(self.world.at(one), &between).unwrap();
        std::fs::rename(self.world.at(other), self.world.at(one)).unwrap();
        std::fs::rename(between, self.world.at(other)).unwrap();
        let (first, second) = (self.tree[one].clone(), self.tree[other].clone());
        self.tree.insert(one.to_owned(), second);
        self.tree.insert(other.to_owned(), first);
    }

    /// As git does it: what differs is written anew.
    pub(crate) fn switch(&mut self, to: &Files, names: impl Iterator<Item = &'static str>) {
        for name in names.chain(["app/src/turned.rs"]) {
            let (Some(node), Some(now)) = (to.get(name), self.tree.get(self.name(name))) else {
                continue;
            };
            if node != now {
                self.put(name, node.clone());
            }
        }
    }

    /// What a cache that cleans, or a tidy user, takes away.
    pub(crate) fn lose_outputs(&self, random: &mut Rng) {
        for folder in ["target/debug/deps", "target/debug", "target/debug/.fingerprint"] {
            for entry in std::fs::read_dir(self.world.at(folder))
                .into_iter()
                .flatten()
                .filter_map(Result::ok)
            {
                let is_lost = (random.u64(..100) < 15)
                    && (folder.ends_with("print") || entry.path().is_file());
                if is_lost && !entry.file_name().to_string_lossy().starts_with('.') {
                    tree::remove(&entry.path());
                }
            }
        }
    }

    pub(crate) fn broken(&mut self) {
        let keep = self.tree[self.name("app/src/part.rs")].clone();
        self.put("app/src/part.rs", Node::File("oops".to_owned()));
        assert!(!self.world.build("build").ok);
        self.put("app/src/part.rs", keep);
    }

    /// A build of which everything is killed after some milliseconds.
    pub(crate) fn killed(&mut self, how: &How, after: u64) {
        World::tick();
        let words = how.words();
        let words: Vec<&str> = ["cargo"].into_iter().chain(words.split(' ')).collect();
        let mut command = self.world.ours(&[], &words);
        let mut child =
            command.process_group(0).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        std::thread::sleep(std::time::Duration::from_millis(after));
        if child.try_wait().unwrap().is_none() {
            // It leads a group of its own, and is not waited for yet.
            let _ = self
                .world
                .tool("kill")
                .args(["-9", "--", &format!("-{}", child.id())])
                .stderr(Stdio::null())
                .status();
        }
        let _ = child.wait();
    }

    /// Exports the store, removes it, and imports it again, if the program can.
    pub(crate) fn carry_store(&mut self) -> bool {
        let ask = |words: &[&str]| {
            let mut command = self.world.tool(env!("CARGO_BIN_EXE_cargo-pyenv-build"));
            command.args(words).current_dir(&self.world.checkout).output().unwrap()
        };
        let program = |words: &[&str]| ask(&[&["store"], words].concat()).status.success();
        // A word that is no command is a directory to build.
        let has_store = || {
            String::from_utf8_lossy(&ask(&["--help"]).stdout)
                .lines()
                .any(|line| line.trim_start().starts_with("store "))
        };
        let can = *self.can_carry.get_or_insert_with(has_store);
        if !can || !self.world.at(".pyenv-build/store").is_dir() {
            return false;
        }
        let file = self.world.base.join("store.export");
        let file = file.to_str().unwrap();
        assert!(program(&["export", file]), "the store is exported");
        tree::remove(&self.world.at(".pyenv-build/store"));
        assert!(program(&["import", file]), "and imported");
        true
    }

    /// Builds, and fails unless the programs print what they should.
    pub(crate) fn build_right(&mut self, how: &How, is_compared: bool, log: &str) {
        match &how.colour {
            Some(colour) => self.world.set("WORLD_COLOUR", colour),
            None => self.world.unset("WORLD_COLOUR"),
        }
        let words = how.words();
        let built = self.world.build(&words);
        assert!(built.ok, "{}", built.stderr);
        assert_eq!(
            built.seen,
            self.expected(how),
            "STALE\n{log}compiled {:?}, reused {:?}\n{}",
            built.compiled,
            built.reused,
            built.stderr
        );
        if is_compared {
            self.world.is_right(&words, &built);
        }
        self.builds += 1;
        self.reused += built.reused.len();
    }

    fn text(&self, name: &str) -> &str {
        match &self.tree[name] {
            Node::File(text) => text.trim(),
            Node::Link(target) => {
                self.text(&format!("{}/{target}", name.rsplit_once('/').unwrap().0))
            }
        }
    }

    /// What stands between the quotes of a source.
    fn quoted(&self, name: &str) -> &str {
        self.text(self.name(name)).split('"').nth(1).unwrap()
    }

    /// What a clean build would print.
    fn expected(&self, how: &How) -> String {
        let bytes = format!("{}\n", self.text("app/src/bytes.bin")).into_bytes();
        let built = self
            .tree
            .get("app/build.rs")
            .map_or("none", |_| self.text("app/build.rs").split(['=', '"']).nth(3).unwrap());
        let data = self
            .tree
            .keys()
            .filter_map(|name| Some((name.strip_prefix("mid/")?, self.text(name))))
            .filter(|(name, _)| name.starts_with("data/"));
        let mut all: Vec<String> = data.map(|(name, text)| format!("{name}:{text}")).collect();
        all.sort();
        let Node::Link(pointer) = &self.tree["mid/pointer"] else { unreachable!() };
        all.extend(
            [
                self.text("mid/in.txt"),
                self.text("mid/secret.txt"),
                self.text("mid/.hidden"),
                pointer,
                self.text("mid/pointer"),
            ]
            .map(str::to_owned),
        );
        all.extend([
            self.is_tool_executable.to_string(),
            self.stamp.clone().unwrap_or_default(),
            self.branch.clone(),
        ]);
        let lines: BTreeSet<String> = [
            format!(
                "part={} turned={} bytes={bytes:?}",
                self.quoted("app/src/part.rs"),
                self.quoted("app/src/turned.rs")
            ),
            format!("loud={} colour={}", how.is_loud, how.colour.as_deref().unwrap_or("none")),
            format!("text={} built={built}", self.text("shared/text.txt")),
            format!("mid={} {} {}", all.len(), self.quoted("mid/src/value.in"), all.join(" ")),
            format!(
                "user={} {} {}",
                self.quoted("macros/src/value.in"),
                self.text("user/words.txt"),
                self.quoted("user/src/value.rs")
            ),
        ]
        .into();
        lines.into_iter().flat_map(|line| ["printed: ".to_owned(), line, "\n".to_owned()]).collect()
    }
}
