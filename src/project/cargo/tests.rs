use super::*;

fn write(root: &Path, files: &[(&str, &str)]) {
    for (name, text) in files {
        let path = root.join(name);
        fs_err::create_dir_all(path.parent().unwrap()).unwrap();
        fs_err::write(path, text).unwrap();
    }
}

fn sample(root: &Path) {
    write(
        root,
        &[
            ("Cargo.toml", "[workspace]\nmembers = ['app', 'mac']\nresolver = '2'\n"),
            (
                "app/Cargo.toml",
                "[package]\nname = 'my-app'\nversion = '1.0.0'\nedition = '2021'\nlinks = 'z'\n[features]\ndefault = ['more']\n\
                     more = ['dep:beside']\n[dependencies]\nmac = { path = '../mac' }\n\
                     beside = { path = '../beside', optional = true, features = ['f'] }\n[build-dependencies]\n\
                     beside = { path = '../beside' }\n",
            ),
            ("app/src/lib.rs", ""),
            ("app/build.rs", "fn main() {}"),
            (
                "mac/Cargo.toml",
                "[package]\nname = 'mac'\nversion = '0.1.0'\nedition = '2021'\n[lib]\nproc-macro = true\n",
            ),
            ("mac/src/lib.rs", ""),
            (
                "beside/Cargo.toml",
                "[package]\nname = 'beside'\nversion = '0.2.0'\nedition = '2021'\n[features]\nf = []\n",
            ),
            ("beside/src/lib.rs", ""),
        ],
    );
}

#[test]
fn packages_with_what_they_are_and_depend_on() {
    let dir = tempfile::tempdir().unwrap();
    let root = fs_err::canonicalize(dir.path()).unwrap();
    sample(&root);
    let workspace = CargoWorkspace::ask(&root.join("app/Cargo.toml")).unwrap();
    assert!(!root.join("Cargo.lock").exists(), "asking writes nothing");
    // Where it is built, the environment of the test may say.
    assert_eq!((&workspace.root, workspace.has_all_features), (&root, true));
    let app = workspace.package_in(&root.join("app")).unwrap();
    assert_eq!(
        (app.name.as_str(), app.version.as_str(), app.library.as_deref()),
        ("my-app", "1.0.0", Some("my_app"))
    );
    assert_eq!(
        (app.links.as_deref(), &app.source, app.is_member, app.is_local),
        (Some("z"), &None, true, true)
    );
    assert!(app.has_build_script && !app.is_proc_macro);
    assert_eq!(app.features["default"], ["more"]);
    let beside = workspace.local_named("beside").next().unwrap();
    let edge = app.dependencies.iter().find(|one| one.id == beside.id).unwrap();
    assert_eq!(edge.kinds, BTreeSet::from([DependencyKind::Normal, DependencyKind::Build]));
    assert_eq!(edge.features, BTreeSet::from(["f".to_owned()]));
    assert!(
        workspace
            .local_named("mac")
            .all(|package| package.is_proc_macro && package.library.as_deref() == Some("mac"))
    );
    let mut names: Vec<&str> = workspace
        .closure(app, DependencyKind::ALL)
        .iter()
        .map(|package| package.name.as_str())
        .collect();
    names.sort_unstable();
    assert_eq!(names, ["beside", "mac", "my-app"]);
    assert_eq!(workspace.closure(app, &[DependencyKind::Build]).len(), 2);
    assert_eq!(workspace.closure(beside, DependencyKind::ALL).len(), 1);
    assert_eq!(workspace.versions_of("beside"), BTreeSet::from(["0.2.0"]));
    let manifests = workspace.manifests();
    assert_eq!((&manifests[0], manifests.len()), (&root.join("Cargo.toml"), 4));
    let text = serde_json::to_string(&workspace).unwrap();
    assert_eq!(serde_json::from_str::<CargoWorkspace>(&text).unwrap(), workspace);
    let at = |target: &str, build: &str| CargoWorkspace {
        target_directory: target.into(),
        build_directory: build.into(),
        ..CargoWorkspace::default()
    };
    assert_eq!(at("/a", "/a").with_target_directory("/t".into()), at("/t", "/t"));
    assert_eq!(at("/a", "/b").with_target_directory("/t".into()), at("/t", "/b"));
}

#[test]
fn a_lock_file_stays_as_it_is() {
    let dir = tempfile::tempdir().unwrap();
    let root = fs_err::canonicalize(dir.path()).unwrap();
    sample(&root);
    // It lags behind: cargo would write it anew.
    let text = "# mine\nversion = 4\n\n[[package]]\nname = \"mac\"\nversion = \"0.1.0\"\n";
    fs_err::write(root.join("Cargo.lock"), text).unwrap();
    let workspace = CargoWorkspace::ask(&root.join("app/Cargo.toml")).unwrap();
    assert_eq!(workspace.packages.len(), 3);
    assert_eq!(fs_err::read_to_string(root.join("Cargo.lock")).unwrap(), text);
}

#[test]
fn what_cargo_cannot_read_is_said_in_its_words() {
    let dir = tempfile::tempdir().unwrap();
    write(
        dir.path(),
        &[("Cargo.toml", "[package]\nname = 'x'\nedition = 'nine'\n"), ("src/lib.rs", "")],
    );
    let error = CargoWorkspace::ask(&dir.path().join("Cargo.toml")).unwrap_err().to_string();
    assert!(
        error.starts_with("cargo cannot read the workspace of `") && error.contains("nine"),
        "{error}"
    );
}
