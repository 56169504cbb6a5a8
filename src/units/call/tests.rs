use super::*;

fn parse(text: &str) -> Result<Call, Unjudged> {
    Call::parse(&text.split_whitespace().map(OsString::from).collect::<Vec<_>>())
}

const USUAL: &str = "/t/bin/rustc --crate-name app --edition=2024 src/main.rs --error-format=json \
        --json=diagnostic-rendered-ansi,artifacts,future-incompat --crate-type bin --emit=dep-info,link -C embed-bitcode=no -C debuginfo=2 \
        --check-cfg cfg(docsrs,test) -C metadata=f5b4 -C extra-filename=-e276 --out-dir /p/target/debug/deps \
        -C incremental=/p/target/debug/incremental -L dependency=/p/target/debug/deps --extern mid=/p/target/debug/deps/libmid-1.rlib \
        --extern priv,noprelude:sys=/p/libsys-2.rmeta --extern proc_macro -Cinstrument-coverage -L native=/usr/lib -l static=foo --diagnostic-width=80";

#[test]
fn the_usual_call() {
    let call = parse(USUAL).unwrap();
    assert_eq!(call.stem(), "app-e276");
    assert!(call.is_linked() && !call.is_clippy() && call.announces_artifacts());
    assert_eq!(
        call.externs.iter().map(|one| one.name.as_str()).collect::<Vec<_>>(),
        ["mid", "sys", "proc_macro"]
    );
    assert_eq!(call.search[1], Search { kind: "native".into(), path: "/usr/lib".into() });
    assert_eq!(call.libraries, ["static=foo"]);
    assert!(
        call.arguments.contains(&"-Cmetadata=f5b4".to_owned())
            && call.arguments.contains(&"src/main.rs".to_owned())
    );
    assert!(
        !call
            .arguments
            .iter()
            .any(|argument| argument.contains("json") || argument.contains("width"))
    );
    assert!(
        parse(&USUAL.replace("crate-type bin", "crate-type lib -C linker-plugin-lto"))
            .unwrap()
            .is_bitcode,
        "cargo's libraries for LTO"
    );
    assert!(
        parse(&USUAL.replace("/t/bin/rustc", "/t/bin/clippy-driver /t/bin/rustc"))
            .unwrap()
            .is_clippy()
    );
}

#[test]
fn what_is_not_known_is_passed_through() {
    for more in [
        "-C llvm-args=-time-passes",
        "-C save-temps",
        "-Z self-profile",
        "--print=link-args",
        "-o x",
        "--emit asm=x.s",
        "--sysroot /x",
        "-C link-arg=-Wl,-Map=x",
        "-C link-arg=-fplugin=x.so",
        "-C link-arg=-fuse-ld=wild",
        "-C link-arg=-Wl,@x",
        "-L crate=/x",
        "--extern other",
        "--unheard-of",
        "-C link-args=@x",
        "other.rs",
        "-C linker-flavor=ld",
        "-Wl,x,--dependency-file=x",
        "-C remark=all",
        "-C linker-plugin-lto=/x.so",
        "--emit=thin-link-bitcode",
        "-v",
        "--env-set A=B",
    ] {
        // `-Wl` alone is a lint that rustc would refuse.
        if more.starts_with("-Wl") {
            continue;
        }
        let refused = parse(&format!("{USUAL} {more}"));
        assert!(refused.is_err(), "{more}");
    }
    for (command, why) in [
        ("/t/rustc -vV", Unjudged::Probe),
        ("/t/rustc - --crate-name ___ --print=cfg", Unjudged::Probe),
        ("/t/cargo-llvm-cov /t/rustc --crate-name x", Unjudged::Program("cargo-llvm-cov".into())),
        ("/t/sccache /t/rustc src/lib.rs", Unjudged::Program("sccache".into())),
        ("", Unjudged::Probe),
    ] {
        assert_eq!(parse(command).unwrap_err(), why, "{command}");
    }
}

#[test]
fn links_that_are_usual_are_known() {
    for argument in [
        "-Wl,-soname,libx.so.1",
        "-Wl,--version-script=/p/x.map",
        "-Wl,-rpath,$ORIGIN",
        "-undefined",
        "dynamic_lookup",
        "-fuse-ld=mold",
        "-lz",
        "-Wl,-z,relro,-z,now",
        "/p/x.o",
        "-Wl,-install_name,@rpath/x",
        "-Wl,--build-id=none",
    ] {
        assert!(link_arguments::is_known(argument), "{argument}");
    }
}

#[test]
fn response_files_are_read() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("args");
    fs_err::write(&file, USUAL.split_whitespace().skip(1).collect::<Vec<_>>().join("\n")).unwrap();
    let call = parse(&format!("/t/rustc @{}", file.display())).unwrap();
    assert_eq!(call.arguments, parse(USUAL).unwrap().arguments);
    assert_eq!(parse("/t/rustc @/no/such").unwrap_err(), Unjudged::Unreadable("/no/such".into()));
}
