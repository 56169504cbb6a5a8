use super::*;

#[test]
fn variables_of_a_build_script() {
    let dir = tempfile::tempdir().unwrap();
    let out_dir = dir.path().join("out");
    fs_err::create_dir(&out_dir).unwrap();
    fs_err::write(
        dir.path().join("output"),
        "cargo:rustc-env=A=1\ncargo::rustc-env=B=2=3\ncargo:rerun-if-changed=x\nC\n",
    )
    .unwrap();
    assert_eq!(set_by_build_script(&out_dir), ["A", "B"]);
}

#[test]
fn ways_to_write_a_pattern() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path().join("w [1]");
    let file = root.join("data/x.txt");
    fs_err::create_dir_all(file.parent().unwrap()).unwrap();
    fs_err::write(&file, "").unwrap();
    let absolute = file.to_str().unwrap().to_owned();
    for pattern in [
        "data/x.txt",
        "./data/x.txt",
        "data//x.txt",
        "data",
        "data/",
        "data/*",
        "**/*.txt",
        &absolute,
    ] {
        assert_eq!(
            matching(&root, &[pattern.to_owned()]).unwrap(),
            std::slice::from_ref(&file),
            "{pattern}"
        );
    }
    assert_eq!(
        matching(&root, &["gone.txt".to_owned()]).unwrap(),
        [root.join("gone.txt")],
        "it would count if it were there"
    );
}

#[test]
fn the_folders_of_a_pattern() {
    for (pattern, expected) in [
        ("schemas/*.json", "schemas"),
        ("*.json", ""),
        ("a/b*/c", "a"),
        ("a/b/c", "a/b"),
        ("**/x", ""),
    ] {
        assert_eq!(literal_start(pattern), PathBuf::from(expected), "{pattern}");
    }
}
