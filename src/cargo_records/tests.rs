use super::*;

fn write(root: &Path, name: &str, content: &[u8]) {
    let path = root.join(name);
    fs_err::create_dir_all(path.parent().unwrap()).unwrap();
    fs_err::write(path, content).unwrap();
}

#[test]
fn both_layouts_are_found_and_units_know_each_other() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path();
    let lib = r#"{"rustc":1,"deps":[[1,"build_script_build",false,9835548342800406833]],"local":[{"CheckDepInfo":{"dep_info":"release/.fingerprint/a-b-00/dep-lib-a_b","checksum":false}}]}"#;
    write(root, "release/.fingerprint/a-b-00/lib-a_b", b"a50c0dcfaacbbedd");
    write(root, "release/.fingerprint/a-b-00/lib-a_b.json", lib.as_bytes());
    write(root, "release/.fingerprint/a-b-00/dep-lib-a_b", &dep_info::tests::sample());
    write(root, "release/.fingerprint/a-b-00/output-lib-a_b", b"");
    let run = r#"{"local":[{"RerunIfEnvChanged":{"var":"V","val":null}},{"RerunIfChanged":{"output":"release/build/c-01/output","paths":["x"]}}]}"#;
    write(
        root,
        "release/.fingerprint/c-01/run-build-script-build-script-build",
        &9_835_548_342_800_406_833_u64.to_le_bytes().iter().fold(Vec::new(), |mut text, byte| {
            text.extend(format!("{byte:02x}").bytes());
            text
        }),
    );
    write(
        root,
        "release/.fingerprint/c-01/run-build-script-build-script-build.json",
        run.as_bytes(),
    );
    write(root, "release/build/c-01/output", b"cargo::rustc-cfg=x");
    write(root, "triple/debug/build/d/02/fingerprint/lib-d", b"00");
    let records = Records::read(root).unwrap();
    let keys: Vec<&str> = records.units.keys().map(String::as_str).collect();
    assert_eq!(
        keys,
        [
            "release/.fingerprint/a-b-00/lib-a_b",
            "release/.fingerprint/c-01/run-build-script-build-script-build",
            "triple/debug/build/d/02/fingerprint/lib-d"
        ]
    );
    let unit = &records.units[keys[0]];
    assert_eq!(
        (unit.package.as_str(), unit.crate_name(), unit.kind),
        ("a-b", "a_b", Kind::Compile)
    );
    assert_eq!(unit.variables().collect::<Vec<_>>(), [("A", Some("1")), ("B", None)]);
    let run = records.by_fingerprint()[&unit.record.as_ref().unwrap().deps[0].3];
    assert_eq!((run.key.as_str(), run.kind), (keys[1], Kind::Run));
    assert_eq!(run.variables().collect::<Vec<_>>(), [("V", None)]);
    assert!(run.references[0].mtime.is_some());
}

#[test]
fn what_is_cut_short_is_known_to_be_and_what_is_unknown_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    write(dir.path(), "debug/.fingerprint/a-00/lib-a", b"00");
    write(dir.path(), "debug/.fingerprint/a-00/lib-a.json", br#"{"local":[{"CheckDe"#);
    assert_eq!(
        Records::read(dir.path()).unwrap().units["debug/.fingerprint/a-00/lib-a"].record,
        None
    );
    write(dir.path(), "debug/.fingerprint/a-00/lib-a.json", br#"{"local":[{"Checksummed":{}}]}"#);
    let error = Records::read(dir.path()).unwrap_err().to_string();
    assert!(error.contains("lib-a.json`: unknown variant `Checksummed`"), "{error}");
}
