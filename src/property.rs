//! Property tests of all parsers: the hookd protocol, probe answers, markers, memos,
//! `pyproject.toml`, lock files, rustc's arguments and dependency files, entries of the store.
//! Whatever the bytes, there is an answer, no panic and no hang; what is whole is understood.
//!
//! Inputs are valid samples, changed at random: bytes, lines, pieces of other samples, and words
//! that matter to the format. `PYENV_BUILD_PROPERTY_CASES` says how many per reader (a run of a
//! million each takes minutes), `PYENV_BUILD_PROPERTY_SEED` which ones; a failure names seed and case.

use fastrand::Rng;

use crate::build_env::pylock::Pylock;
use crate::build_env::request::Memo;
use crate::build_env::store::Marker;
use crate::hooks::protocol::{Message, escape, unescape};
use crate::units::call::Call;
use crate::units::dep_info::DepInfo;
use crate::units::entry::Entry;
use crate::{env_vars, interpreter, project};

/// One to three changes of a sample.
fn mutate(random: &mut Rng, samples: &[&[u8]], words: &[&str]) -> Vec<u8> {
    let mut bytes = random.choice(samples).unwrap().to_vec();
    for _ in 0..=random.usize(..3) {
        let at = random.usize(..=bytes.len());
        let end = (at + random.usize(..24)).min(bytes.len());
        match random.usize(..6) {
            0 if !bytes.is_empty() => {
                let at = at.min(bytes.len() - 1);
                bytes[at] = random.u8(..);
            }
            1 => drop(bytes.drain(at..end)),
            2 => {
                let piece = bytes[at..end].to_vec();
                let to = random.usize(..=bytes.len());
                bytes.splice(to..to, piece);
            }
            3 => {
                let other = random.choice(samples).unwrap();
                let from = random.usize(..=other.len());
                let piece = other[from..(from + random.usize(..64)).min(other.len())].to_vec();
                bytes.splice(at..end, piece);
            }
            4 => bytes.truncate(at),
            _ => drop(bytes.splice(at..end, random.choice(words).unwrap().bytes())),
        }
    }
    bytes
}

/// Runs a reader over mutated samples. `read` says whether it understood.
fn hold(
    name: &str,
    samples: &[&[u8]],
    words: &[&str],
    read: impl Fn(&[u8]) -> bool + std::panic::RefUnwindSafe,
) {
    let number = |name: &str| env_vars::get(name).and_then(|text| text.parse::<u64>().ok());
    let cases = number("PYENV_BUILD_PROPERTY_CASES").unwrap_or(20_000);
    let seed = number("PYENV_BUILD_PROPERTY_SEED").unwrap_or(1);
    println!("{name}: {cases} cases, PYENV_BUILD_PROPERTY_SEED={seed}");
    for sample in samples {
        assert!(
            read(sample),
            "{name}: a whole sample is not understood: {}",
            String::from_utf8_lossy(sample)
        );
    }
    let mut random = Rng::with_seed(seed);
    let mut understood = 0_u64;
    for case in 0..cases {
        let bytes = mutate(&mut random, samples, words);
        match std::panic::catch_unwind(|| read(&bytes)).ok() {
            Some(yes) => understood += u64::from(yes),
            None => panic!(
                "{name}: case {case} of seed {seed} panicked: {:?}",
                String::from_utf8_lossy(&bytes)
            ),
        }
    }
    println!("{name}: {understood} of {cases} were still understood");
}

const JSON_WORDS: &[&str] = &[
    "null",
    "-1",
    "1e999",
    "[]",
    "{}",
    "\"",
    "\\u0000",
    "\\ud800",
    "true",
    "18446744073709551616",
    "schema",
    ",",
    ":",
    "kind",
];
const TOML_WORDS: &[&str] = &[
    "[build-system]",
    "[[packages]]",
    "requires",
    "= ",
    "[]",
    "'''",
    "\"",
    "inf",
    "1979-05-27",
    "backend-path",
    "..",
    "/",
    "\u{0}",
    "build-backend",
    "[tool.pyenv-build]",
    "python = 3",
    "; extra == 'x'",
    "@ file:///",
    ">=",
    "\u{feff}",
    "hashes = {",
    "lock-version = \"9.0\"",
];

#[test]
fn protocol_lines() {
    let samples: &[&[u8]] = &[
        b"READY",
        b"EXPECT action",
        b"OK [\"a\\\\nb\"]",
        b"ERROR HookRuntimeError it\\nfailed",
        b"CHILD 1234",
        b"OUTPUT 1 text\\n",
        b"DATA aGVsbG8=",
        b"TRACEBACK Traceback\\n  x\\\\y",
    ];
    let words = &[
        "OK ",
        "ERROR",
        "\\",
        "\\n",
        "\\r",
        " ",
        "CHILD 99999999999999999999",
        "OUTPUT 3 ",
        "\u{2028}",
    ];
    hold("protocol", samples, words, |bytes| {
        let text = String::from_utf8_lossy(bytes);
        let message = Message::parse(&text);
        // Any value survives the wire.
        assert_eq!(unescape(&escape(&text)), text);
        assert!(!escape(&text).contains(['\n', '\r']));
        !matches!(message, Message::Unknown(_))
    });
}

#[test]
fn probe_answers() {
    let answer = r#"{"status": "ok", "executable": "/p", "base_executable": "/p", "identity": {"implementation": "cpython", "version": "3.12.1", "implementation_version": "3.12.1", "cache_tag": "cpython-312", "soabi": null, "ext_suffix": ".so", "abiflags": "", "free_threaded": false, "debug": false, "platform": "linux-x86_64", "pointer_width": 64, "base_prefix": "/usr", "base_executable": "/p", "library_directory": null}, "markers": {"implementation_name": "cpython", "implementation_version": "3.12.1", "os_name": "posix", "platform_machine": "x86_64", "platform_python_implementation": "CPython", "platform_release": "6", "platform_system": "Linux", "platform_version": "1", "python_full_version": "3.12.1", "python_version": "3.12", "sys_platform": "linux"}}"#;
    let chatty = format!("hello from sitecustomize\n{answer}\n");
    hold("probe", &[answer.as_bytes(), chatty.as_bytes()], JSON_WORDS, |bytes| {
        interpreter::understands(&String::from_utf8_lossy(bytes))
    });
}

const DISTRIBUTIONS: &str = r#"[{"name": "maturin", "version": "1.9.0", "artifact": {"kind": "index", "filename": "m.whl", "sha256": "ab"}}, {"name": "x", "version": null, "artifact": {"kind": "vcs", "url": "https://h/x", "commit": "c0", "subdirectory": null}}]"#;

#[test]
fn memos() {
    let memo = format!(
        r#"{{"schema": 1, "resolved_at": 1763690000, "fingerprint": "ab", "distributions": {DISTRIBUTIONS}, "requirements": ["maturin"], "dynamic": {{"get_requires_for_build_wheel . 0": ["ninja"]}}}}"#
    );
    hold("memo", &[memo.as_bytes()], JSON_WORDS, |bytes| {
        Memo::parse(bytes).is_some_and(|memo| [true, false].contains(&memo.is_recent(None)))
    });
}

#[test]
fn markers() {
    let identity = r#"{"implementation": "cpython", "version": "3.12.1", "implementation_version": "3.12.1", "cache_tag": null, "soabi": null, "ext_suffix": ".so", "abiflags": "", "free_threaded": false, "debug": false, "platform": "linux-x86_64", "pointer_width": 64, "base_prefix": "/usr", "base_executable": "/p", "library_directory": null}"#;
    let marker = format!(
        r#"{{"schema": 1, "fingerprint": "{}", "abi_tag": "cp312-linux-x86_64", "installer": "uv", "identity": {identity}, "distributions": {DISTRIBUTIONS}, "created_at": 1763690000, "made_by": "0.1.0"}}"#,
        "ab".repeat(32)
    );
    hold("marker", &[marker.as_bytes()], JSON_WORDS, |bytes| {
        Marker::parse(bytes).is_some_and(|marker| {
            let _ = (marker.identity.abi_tag(), marker.identity.display());
            true
        })
    });
}

#[test]
fn pyproject_files() {
    let directory = tempfile::tempdir().unwrap();
    let samples: &[&[u8]] = &[
        b"[build-system]\nrequires = [\"maturin>=1.9,<2.0\"]\nbuild-backend = \"maturin\"\n[project]\nname = \"x\"\nrequires-python = \">=3.9\"\n",
        b"[build-system]\nrequires = [\"setuptools; python_version < '3.12'\", \"x @ file:///y\"]\nbackend-path = [\".\"]\nbuild-backend = \"a.b:c\"\n",
        b"[tool.pyenv-build]\npython = \"3.12\"\nconstraints = [\"c.txt\"]\n[tool.maturin]\nmanifest-path = \"rust/Cargo.toml\"\nfeatures = [\"a\"]\n",
        b"[[tool.setuptools-rust.ext-modules]]\ntarget = \"x\"\npath = \"Cargo.toml\"\n[tool.uv]\nbuild-constraint-dependencies = [\"a==1\"]\n",
    ];
    let path = directory.path().to_path_buf();
    hold("pyproject", samples, TOML_WORDS, move |bytes| project::understands(&path, bytes));
}

#[test]
fn lock_files() {
    let samples: &[&[u8]] = &[
        b"lock-version = \"1.0\"\ncreated-by = \"uv\"\nrequires-python = \">=3.8\"\n\n[[packages]]\nname = \"a\"\nversion = \"1\"\nmarker = \"python_version < '3.11'\"\nsdist = { url = \"https://h/a-1.tar.gz\", hashes = { sha256 = \"aa\" } }\nwheels = [{ url = \"https://h/a-1-py3-none-any.whl\", hashes = { sha256 = \"bb\" } }]\n",
        b"lock-version = \"1.0\"\n[[packages]]\nname = \"b\"\nvcs = { type = \"git\", url = \"https://h/b\", commit-id = \"c0\" }\n[[packages]]\nname = \"c\"\ndirectory = { path = \"../c\" }\n",
    ];
    let markers = crate::build_env::pylock::tests::markers("3.12.1");
    hold("pylock", samples, TOML_WORDS, move |bytes| {
        Pylock::parse(&String::from_utf8_lossy(bytes)).is_ok_and(|lock| {
            let _ = lock.for_interpreter(&markers);
            let files = lock
                .packages
                .iter()
                .flat_map(|package| package.wheels.iter().chain(&package.sdist));
            files.for_each(|file| drop(file.file_name()));
            true
        })
    });
}

#[test]
fn rustc_arguments() {
    let samples: &[&[u8]] = &[
        b"/t/rustc\n--crate-name\napp\n--edition=2024\nsrc/main.rs\n--error-format=json\n--json=artifacts\n--crate-type\nbin\n--emit=dep-info,link\n-C\nmetadata=f5\n-C\nextra-filename=-e2\n--out-dir\n/t/deps\n-L\ndependency=/t/deps\n--extern\npriv:mid=/t/libmid-1.rlib\n-l\nstatic=foo",
        b"/t/clippy-driver\n/t/rustc\n--crate-name\nx\nsrc/lib.rs\n--crate-type=lib,cdylib\n--emit=dep-info,metadata\n--out-dir=/t\n-Clink-args=-lz -Wl,-soname,x\n-Cincremental=/i\n--test\n--target=x.json\n-Wunused\n-Zthreads=8\n--cfg\nfeature=\"a\"",
    ];
    let words = &[
        "\n",
        "-C",
        "=",
        "-",
        "@",
        "@/no/such",
        "--",
        "-Wl,",
        "--extern",
        "::",
        "--emit=",
        "asm=/x",
        "-o",
        "\u{2028}",
        ":",
        ",",
        "-L",
        "-Z",
    ];
    hold("arguments", samples, words, |bytes| {
        let text = String::from_utf8_lossy(bytes);
        let words: Vec<std::ffi::OsString> =
            text.split('\n').map(std::ffi::OsString::from).collect();
        // What is not understood in full is passed through, whatever it is.
        Call::parse(&words).is_ok_and(|call| {
            let _ = (
                call.stem(),
                call.is_linked(),
                call.announces_artifacts(),
                call.bundles_its_dependencies(),
            );
            !call.arguments.is_empty()
        })
    });
}

#[test]
fn dependency_files() {
    let samples: &[&[u8]] = &[
        b"/t/deps/app-1.d: src/main.rs src/a\\ b.rs\n\n/t/deps/app-1: src/main.rs\n\nsrc/main.rs:\n\n# env-dep:A=b\\nc\n# env-dep:NOT_SET\n# checksum:blake3=1 file_len:2 x\n",
        b"/t/app: \\\n  /lib/Scrt1.o \\\n  /l\\ b/lib$$x.a\n\n/lib/Scrt1.o:\n",
    ];
    let words = &["\\", ":", "\n", "# env-dep:", "=", " ", "$$", "\\#", "\r"];
    hold("dependency file", samples, words, |bytes| {
        let text = String::from_utf8_lossy(bytes);
        DepInfo::of_rustc(&text).is_some() | DepInfo::of_linker(&text).is_some()
    });
}

#[test]
fn entries() {
    let entry = r#"{"schema":1,"package":"a","version":"1","before":{"schema":1,"compiler":"c","linker":null,"arguments":["-Copt-level=3"],"directory":"/p","variables":{"A":"b"},"externs":{"/l":"1"},"out_dir":{"x":"file 1"},"files":{"/c":"absent"}},"after":{"files":{"/s":"1"},"variables":{"V":null},"native":{},"search":["/lib"],"found":{"c":1}},"outputs":[{"path":"/o","digest":"ab","is_executable":true}],"presentation":[],"messages":["{}"],"stdout":"","seconds":0.5}"#;
    hold("entry", &[entry.as_bytes()], JSON_WORDS, |bytes| {
        serde_json::from_slice::<Entry>(bytes).is_ok_and(|entry| {
            let _ = (entry.before.key(), entry.has_diagnostics());
            true
        })
    });
}
