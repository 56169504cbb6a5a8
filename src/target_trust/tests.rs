use super::*;

struct World {
    dir: tempfile::TempDir,
    layout: Layout,
    target: PathBuf,
    packages: Vec<LocalPackage>,
}

impl World {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().join("w");
        let layout = Layout::open(root.join(".pyenv-build")).unwrap();
        let target = root.join("target");
        for path in [
            "debug/.fingerprint/app-0123456789abcdef/dep-bin-app",
            "release/.fingerprint/app-0123456789abcdef/x",
            "wheels/.fingerprint/app-0123456789abcdef/x",
            "x86_64-unknown-linux-gnu/release/.fingerprint/app-0123456789abcdef/x",
            "llvm-cov-target/debug/.fingerprint/app-0123456789abcdef/x",
            "debug/build/app/0123456789abcdef/fingerprint/x",
            "debug/.fingerprint/app-extra-0123456789abcdef/x",
            "debug/.fingerprint/serde-0123456789abcdef/x",
            "debug/build/serde/0123456789abcdef/fingerprint/x",
        ] {
            fs::write_atomic(&target.join(path), b"").unwrap();
        }
        fs::write_atomic(&root.join("src/main.rs"), b"").unwrap();
        let packages = vec![LocalPackage { name: "app".to_owned(), directory: root }];
        Self { dir, layout, target, packages }
    }

    fn settle(&self) -> Option<Distrust> {
        self.settle_all().distrust
    }

    fn settle_all(&self) -> Settled {
        let root = &self.dir.path().join("w");
        let place = Place { checkout: root, workspace: root, packages: &self.packages };
        settle(&self.layout, &self.target, &place).unwrap()
    }

    fn is_cold(&self) -> bool {
        local_units(&self.target, &self.packages).is_empty()
    }

    fn source(&self) -> PathBuf {
        self.dir.path().join("w/src/main.rs")
    }
}

#[test]
fn nothing_local_is_left_in_a_foreign_directory_and_nothing_else_is_touched() {
    let world = World::new();
    assert_eq!(local_units(&world.target, &world.packages).len(), 6);
    let other_name = world.target.with_file_name("build");
    fs_err::rename(&world.target, &other_name).unwrap();
    assert_eq!(local_units(&other_name, &world.packages).len(), 6);
    fs_err::rename(&other_name, &world.target).unwrap();
    assert_eq!(world.settle(), Some(Distrust::Foreign));
    assert!(world.is_cold());
    for kept in [
        "debug/.fingerprint/app-extra-0123456789abcdef/x",
        "debug/.fingerprint/serde-0123456789abcdef/x",
        "debug/build/serde/0123456789abcdef/fingerprint/x",
    ] {
        assert!(world.target.join(kept).is_file(), "{kept}");
    }
    assert_eq!(world.settle(), None, "they live together now");
}

#[test]
#[cfg(unix)]
fn a_pair_that_was_copied_does_not_agree() {
    let world = World::new();
    world.settle();
    let unit = world.target.join("debug/.fingerprint/app-0123456789abcdef");
    fs_err::create_dir_all(&unit).unwrap();
    assert_eq!(world.settle(), None);
    let ours = ours(&world.layout, &world.target);
    let text = fs_err::read(&ours).unwrap();
    fs_err::remove_file(&ours).unwrap();
    fs_err::write(&ours, text).unwrap();
    assert_eq!(world.settle(), Some(Distrust::Foreign), "as tar would restore it");
    assert!(world.is_cold());
}

#[test]
#[cfg(unix)]
fn a_source_that_is_older_than_the_pair_must_be_known() {
    let world = World::new();
    world.settle();
    let unit = world.target.join("debug/.fingerprint/app-0123456789abcdef");
    let tick = || std::thread::sleep(Duration::from_millis(20));
    fs_err::create_dir_all(&unit).unwrap();
    tick();
    fs_err::write(world.source(), "edited").unwrap();
    assert_eq!(world.settle(), None, "cargo sees that by itself");
    tick();
    assert_eq!(world.settle(), None, "it is known by now");
    let date_back = |text: &str| {
        fs_err::create_dir_all(&unit).unwrap();
        fs_err::write(world.source(), text).unwrap();
        filetime::set_file_mtime(
            world.source(),
            filetime::FileTime::from_unix_time(1_600_000_000, 0),
        )
        .unwrap();
    };
    date_back("edited again");
    assert_eq!(world.settle(), Some(Distrust::OldSource(world.source())));
    assert!(world.is_cold());
    assert_eq!(world.settle(), None);
    // Another checkout's file, as an image's layer has it: everything about it is from before
    // the pair.
    let other = world.dir.path().join("other.rs");
    fs_err::write(&other, "other").unwrap();
    tick();
    assert_eq!(world.settle(), None);
    fs_err::create_dir_all(&unit).unwrap();
    fs_err::rename(&other, world.source()).unwrap();
    assert_eq!(world.settle(), Some(Distrust::OldSource(world.source())));
    // Written after the last command began, and moved here later than that.
    fs_err::write(&other, "another").unwrap();
    tick();
    tick();
    fs_err::create_dir_all(&unit).unwrap();
    fs_err::rename(&other, world.source()).unwrap();
    assert_eq!(world.settle(), Some(Distrust::OldSource(world.source())));
    // A link is new, and what it leads to is old.
    let link = world.source().with_file_name("link.rs");
    fs_err::create_dir_all(&unit).unwrap();
    std::os::unix::fs::symlink("main.rs", &link).unwrap();
    assert_eq!(world.settle(), Some(Distrust::OldSource(link)));
}

#[test]
fn what_tools_make_is_no_source() {
    let dir = tempfile::tempdir().unwrap();
    for name in [
        "src/build/mod.rs",
        "build/main.rs",
        ".hidden/data",
        ".venv2/pyvenv.cfg",
        "py/build/lib.linux/x.py",
        "py/setup.py",
        "src/build/lib/m.rs",
        "node_modules/x",
        "a.egg-info/x",
    ] {
        fs::write_atomic(&dir.path().join(name), b"").unwrap();
    }
    let found: Vec<PathBuf> = sources(dir.path(), &[], &dir.path().join("target"))
        .0
        .unwrap()
        .into_iter()
        .map(|source| source.path)
        .collect();
    let mut found: Vec<&Path> =
        found.iter().map(|path| path.strip_prefix(dir.path()).unwrap()).collect();
    found.sort();
    assert_eq!(
        found,
        [".hidden/data", "build/main.rs", "py/setup.py", "src/build/lib/m.rs", "src/build/mod.rs"]
            .map(Path::new)
    );
}

#[test]
fn other_target_directories_in_the_workspace_are_found() {
    let world = World::new();
    let root = world.dir.path().join("w");
    let unit = "debug/.fingerprint/app-0123456789abcdef/x";
    for (name, file) in [
        ("tt", unit),
        ("a/out", unit),
        // Of another workspace, and no target directory.
        ("theirs/target", "debug/.fingerprint/other-0123456789abcdef/x"),
        ("cache", "x"),
    ] {
        fs::write_atomic(&root.join(name).join("CACHEDIR.TAG"), b"").unwrap();
        fs::write_atomic(&root.join(name).join(file), b"").unwrap();
    }
    let mut others = world.settle_all().others;
    others.sort();
    assert_eq!(others, [root.join("a/out"), root.join("tt")]);
}
