use std::path::Path;

use super::*;
use crate::doctor::facts::PlacedProject;
use crate::doctor::workflows::file::parse;

/// The messages for workflows, whose projects `a` and `b` are in one Cargo workspace and `c` is
/// in another.
fn messages(texts: &[&str]) -> Vec<String> {
    let files = texts.iter().enumerate();
    let workflows =
        files.map(|(at, text)| parse(Path::new(&format!("{at}.yml")), text).unwrap()).collect();
    let placed = |root: &str| PlacedProject { root: root.into(), requires: vec!["maturin".into()] };
    let projects = [("a", "/w"), ("b", "/w"), ("c", "/w/c")]
        .map(|(name, root)| (name.to_owned(), placed(root)));
    let facts = Facts {
        workflows,
        projects: projects.into(),
        default_branch: Some("main".into()),
        ..Facts::default()
    };
    shared_key(&facts).into_iter().map(|finding| finding.message).collect()
}

/// Two jobs with rust-cache and `shared-key: x`, and the lines that each has in addition.
fn jobs(ours: [&str; 2]) -> Vec<String> {
    let job = |name: &str, more: &str| {
        let base = "    runs-on: ubuntu-latest\n    steps:\n      - uses: Swatinem/rust-cache@v2\n        with: {shared-key: x}\n";
        format!("  {name}:\n{base}{more}")
    };
    messages(&[&format!("on: push\njobs:\n{}{}", job("a", ours[0]), job("b", ours[1]))])
}

const SHARE: &str = "jobs `a` and `b` share the key `x` of rust-cache: one compiles with";

#[test]
fn rust_cache_with_what_its_key_does_not_have() {
    let build = "      - run: cargo build\n";
    let target = "      - run: cargo build --release --target wasm32-unknown-unknown\n";
    let flags = "      - run: RUSTFLAGS=-Dwarnings cargo test\n";
    let env = "      - run: cargo test\n        env: {RUSTFLAGS: -Dwarnings}\n";
    let nightly = "      - run: cargo +nightly build\n";
    let stable = "      - run: cargo +stable build\n";
    for (other, said) in [
        (target, "`--target` `wasm32-unknown-unknown`"),
        (flags, "`RUSTFLAGS` `-Dwarnings`"),
        (env, "`RUSTFLAGS` `-Dwarnings`"),
    ] {
        let found = jobs([build, other]);
        assert!(
            found.len() == 1 && found[0].starts_with(SHARE) && found[0].contains(said),
            "{other}: {found:?}"
        );
    }
    assert_eq!(
        jobs([build, target]),
        [format!("{SHARE} no `--target`, the other with `--target` `wasm32-unknown-unknown`")]
    );
    assert_eq!(
        jobs([nightly, stable]),
        [format!("{SHARE} toolchain `nightly`, the other with toolchain `stable`")]
    );
    // Each of these has something in common, or it cannot be told.
    let both = &[build, target].concat();
    for near in [
        [build, "      - run: cargo clippy --release\n"],
        [build, both],
        [build, "      - run: cargo build --target $TARGET\n"],
        [build, "      - run: cargo build --target ${{ inputs.target }}\n"],
        [build, "      - run: cargo build --target x\n        if: inputs.x\n"],
        [build, "      - run: rustup target add x\n      - run: cargo build --target x\n"],
        [build, "      - run: cargo build --target x\n      - run: just test\n"],
        [build, "      - run: cargo build --target x\n      - run: cargo xtask\n"],
        [build, "      - run: cargo build --target x\n      - uses: PyO3/maturin-action@v1\n"],
        [build, nightly],
        [build, "      - run: cargo fmt --check\n"],
        [build, "      - run: echo cargo build --target x\n"],
        [build, ""],
    ] {
        assert_eq!(jobs(near), [""; 0], "{near:?}");
    }
}

#[test]
fn rust_cache_with_what_its_key_has() {
    let two = |one: &str, other: &str| {
        let job = |name: &str, more: &str| {
            format!("  {name}:\n{more}\n      - run: cargo build --target {name}\n")
                .replace("CACHE", "- uses: Swatinem/rust-cache@v2\n        with")
        };
        messages(&[&format!("on: push\njobs:\n{}{}", job("a", one), job("b", other))]).len()
    };
    let base = "    runs-on: ubuntu-latest\n    steps:\n      CACHE: {shared-key: x}";
    assert_eq!(two(base, base), 1);
    for other in [
        base.replace("ubuntu-latest", "windows-latest"),
        base.replace("shared-key: x", "shared-key: y"),
        base.replace("shared-key: x", "shared-key: x, prefix-key: y"),
        base.replace("shared-key: x", "shared-key: x, workspaces: y"),
        base.replace("shared-key: x", "shared-key: x, save-if: false"),
        base.replace("shared-key: x", "key: x"),
        base.replace("    steps:", "    env: {RUSTFLAGS: -g}\n    steps:"),
        base.replace("    steps:", "    container: x\n    steps:"),
        base.replace("    steps:", "    cache-mode: read\n    steps:"),
        base.replace("    steps:", "    if: github.event_name == 'schedule'\n    steps:"),
        base.replace("      CACHE", "      - uses: dtolnay/rust-toolchain@nightly\n      CACHE"),
        base.replace(
            "      CACHE",
            "      - run: echo RUSTFLAGS=-g >> \"$GITHUB_ENV\"\n      CACHE",
        ),
    ] {
        assert_eq!(two(base, &other), 0, "{other}");
    }
    // Without the hash, variables are not in the key.
    let unhashed =
        base.replace("shared-key: x", "shared-key: x, add-rust-environment-hash-key: false");
    assert_eq!(
        two(&unhashed, &unhashed.replace("    steps:", "    env: {RUSTFLAGS: -g}\n    steps:")),
        1
    );
}

#[test]
fn rust_cache_around_builds_for_python() {
    let job = |name: &str, python: &str, key: &str, build: &str| {
        format!(
            "  {name}:\n    runs-on: x\n    steps:\n      - uses: actions/setup-python@v6\n        with: {{python-version: '{python}'}}\n      \
                 - uses: Swatinem/rust-cache@v2\n        with: {{{key}}}\n      - run: {build}\n"
        )
    };
    let two = |other: &str| {
        messages(&[&format!(
            "on: push\njobs:\n{}{other}",
            job("a", "3.12", "shared-key: x", "cargo pyenv-build")
        )])
    };
    let found = two(&job("b", "3.13", "shared-key: x", "cargo pyenv-build run -- cargo test -p y"));
    assert_eq!(found, [format!("{SHARE} Python `3.12`, the other with Python `3.13`")]);
    for other in [
        job("b", "3.12.1", "shared-key: x", "cargo pyenv-build"),
        job("b", "3.x", "shared-key: x", "cargo pyenv-build"),
        job("b", "3.13", "shared-key: x, prefix-key: v0-rust-cp313", "cargo pyenv-build"),
        job("b", "3.13", "shared-key: x", "cargo pyenv-build -p 3.12"),
        job("b", "3.13", "shared-key: x", "cargo pyenv-build provision"),
    ] {
        assert_eq!(two(&other), [""; 0], "{other}");
    }
}

#[test]
fn legs_of_a_matrix() {
    let legs = |key: &str, matrix: &str| {
        messages(&[&format!(
            "on: push\njobs:\n  wheels:\n    strategy: {{matrix: {matrix}}}\n    runs-on: ${{{{ matrix.os }}}}\n    steps:\n      - uses: \
                 Swatinem/rust-cache@v2\n        with: {{shared-key: '{key}'}}\n      - run: cargo build --target ${{{{ matrix.target }}}}\n"
        )])
    };
    let matrix = "{os: [l], target: [one, two]}";
    let expected = "legs of job `wheels` share the key `x` of rust-cache: one compiles with `--target` `one`, another with `--target` `two`";
    assert_eq!(legs("x", matrix), [expected]);
    assert_eq!(legs("x-${{ runner.os }}", matrix).len(), 1);
    assert_eq!(legs("x-${{ matrix.target }}", matrix), [""; 0]);
    assert_eq!(legs("x-${{ inputs.x }}", matrix), [""; 0]);
    assert_eq!(legs("x", "{include: [{os: l, target: one}, {os: w, target: two}]}"), [""; 0]);
    assert_eq!(legs("x", "'${{ fromJSON(inputs.x) }}'"), [""; 0]);
}

#[test]
fn our_action() {
    let two = |one: &str, other: &str| {
        let job = |name: &str, with: &str| {
            format!(
                "  {name}:\n    runs-on: x\n    steps:\n      - uses: o/cargo-pyenv-build@v1\n        with: {{shared-key: x, {with}}}\n"
            )
        };
        messages(&[
            &format!("on: push\njobs:\n{}", job("a", one)),
            &format!("on: push\njobs:\n{}", job("b", other)),
        ])
    };
    assert_eq!(
        two("project: a", "project: b"),
        [
            "jobs `a` and `b` of `1.yml` share the key `x` of our action: one compiles with project `a`, the other with project `b`"
        ]
    );
    let profile = "project: a, args: -C profile=dev";
    let expected = "share the key `x` of our action: one compiles with no settings, the other with settings `profile=dev`";
    assert_eq!(two("project: a", profile), [format!("jobs `a` and `b` of `1.yml` {expected}")]);
    for (one, other) in [
        // The Python is in the key, and paths that differ are another entry.
        ("project: a, python: '3.12'", "project: b, python: '3.13'"),
        ("project: a", "project: c"),
        ("project: a", "project: ./a/"),
        ("project: a", "project: a, args: --sdist"),
        ("project: a", "project: b, save-cache: never"),
        ("project: a", "project: b, cache: false"),
        ("project: a", "project: b, build: false"),
        ("project: a", "project: b, constraints: c.txt"),
        ("project: a", "project: '${{ inputs.x }}'"),
    ] {
        assert_eq!(two(one, other), [""; 0], "{one} {other}");
    }
    let one_job = "on: push\njobs:\n  a:\n    runs-on: x\n    steps:\n      - {uses: o/cargo-pyenv-build@v1, with: {project: a, shared-key: x}}\n      \
                       - {uses: o/cargo-pyenv-build@v1, with: {project: b, shared-key: x}}\n";
    assert_eq!(messages(&[one_job]), [""; 0], "it saves once, at its end");
}

#[test]
fn a_job_that_publishes_and_one_for_pull_requests_share_nothing() {
    let text = "on: [push, pull_request]\njobs:\n  a:\n    runs-on: x\n    if: github.event_name == 'pull_request'\n    steps:\n      - {uses: \
                    Swatinem/rust-cache@v2, with: {shared-key: x}}\n      - run: cargo build --target y\n  b:\n    runs-on: x\n    if: \
                    github.event_name == 'push'\n    steps:\n      - {uses: Swatinem/rust-cache@v2, with: {shared-key: x}}\n      - run: cargo publish\n      \
                    - run: cargo build\n";
    assert_eq!(messages(&[text]), [""; 0]);
}
