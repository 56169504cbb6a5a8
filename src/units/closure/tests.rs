use super::super::plan::tests::{package, plan};
use super::*;

struct World {
    dir: tempfile::TempDir,
    store: Store,
}

impl World {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::at(dir.path().join("store"));
        fs_err::create_dir(dir.path().join("deps")).unwrap();
        Self { dir, store }
    }

    fn file(&self, name: &str) -> PathBuf {
        let path = self.dir.path().join("deps").join(name);
        fs_err::write(&path, name).unwrap();
        path
    }

    fn call(&self, name: &str, kind: &str, externs: &[&str]) -> Call {
        use std::fmt::Write as _;
        let mut text = format!(
            "/t/rustc --crate-name {name} src/lib.rs --crate-type {kind} --emit=dep-info,link --out-dir {0} -C extra-filename=-1 -L dependency={0}",
            self.dir.path().join("deps").display()
        );
        for one in externs {
            let path = self.dir.path().join("deps").join(one);
            let _ = write!(text, " --extern {}={}", crate_name(one), path.display());
        }
        Call::parse(&text.split_whitespace().map(Into::into).collect::<Vec<_>>()).unwrap()
    }

    fn note(&self, name: &str, kind: &str, externs: &[&str]) {
        let call = self.call(name, kind, externs);
        let directory = self.dir.path().join("src").join(name);
        let package = Package { name: name.to_owned(), version: "1.0.0".to_owned(), directory };
        let note =
            Note::of_registry_crate(&call, &package, &self.store, &mut Digests::default()).unwrap();
        note.write_for_name(&self.store, &call).unwrap();
    }
}

/// The file name of a procedural macro.
fn macro_file() -> String {
    format!("{}x_derive-1{}", std::env::consts::DLL_PREFIX, std::env::consts::DLL_SUFFIX)
}

#[test]
fn notes_lead_from_crate_to_crate_and_into_macros() {
    let world = World::new();
    let sys = world.file("libsys-1.rlib");
    let mid = world.file("libmid-1.rlib");
    let derive = world.file(&macro_file());
    world.file("libunrelated-1.rlib");
    world.note("sys", "lib", &[]);
    world.note("syn", "lib", &[]);
    world.note("x_derive", "proc-macro", &["libsyn-1.rlib"]);
    world.note("mid", "lib", &["libsys-1.rmeta", &macro_file()]);
    let app = world.call("app", "bin", &["libmid-1.rlib"]);
    let closure =
        Closure::of(&app, &world.store, &Plans::default(), &mut Digests::default()).unwrap();
    assert_eq!(closure.libraries, [sys, mid, derive.clone()].into());
    assert_eq!(closure.macro_libraries, [derive].into());
    let found = closure.macros.first().unwrap();
    assert_eq!(
        (found.package.as_str(), found.made_of.first().unwrap().1.as_str()),
        ("x_derive", "syn")
    );
}

#[test]
fn a_macro_that_a_crate_keeps_to_itself_does_not_run_above_it() {
    let world = World::new();
    let source = world.dir.path().join("src/mid/lib.rs");
    fs_err::create_dir_all(source.parent().unwrap()).unwrap();
    let macros = |text: &str| {
        fs_err::write(&source, text).unwrap();
        world.note("mid", "lib", &[&macro_file()]);
        Closure::of(
            &world.call("app", "bin", &["libmid-1.rlib"]),
            &world.store,
            &Plans::default(),
            &mut Digests::default(),
        )
        .unwrap()
        .macros
        .len()
    };
    world.file("libmid-1.rlib");
    world.file(&macro_file());
    world.note("x_derive", "proc-macro", &[]);
    assert_eq!(macros("use x_derive::X;"), 0);
    assert_eq!(macros("pub use x_derive::X;"), 1);
}

#[test]
fn without_notes_the_plan_says_what_it_may_be_made_of() {
    let world = World::new();
    let files = [
        world.file("libmid-1.rlib"),
        world.file("libsys-1.rlib"),
        world.file("libsys-2.rlib"),
        world.file(&macro_file()),
    ];
    let app = world.call("app", "bin", &["libmid-1.rlib"]);
    assert_eq!(
        Closure::of(&app, &world.store, &Plans::default(), &mut Digests::default()).unwrap_err(),
        Unjudged::Closure("libmid-1".into())
    );
    plan(vec![
        package("mid", Source::Other, &[1, 2]),
        package("sys", Source::Other, &[]),
        package("x_derive", Source::CratesIo, &[]),
    ])
    .write(&world.store)
    .unwrap();
    let closure =
        Closure::of(&app, &world.store, &Plans::load(&world.store), &mut Digests::default())
            .unwrap();
    assert_eq!(closure.libraries, files.into());
    assert_eq!(closure.macros.first().unwrap().package, "x_derive");
}
