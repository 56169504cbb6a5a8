//! Two machines with one store, on real servers: an S3 server (moto), a `WebDAV` server (wsgidav), and
//! a directory. The second machine is empty, compiles nothing and installs nothing.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use crate::from_pypi::checkout;
use crate::machine::{Scratch, command, exe, git, in_bin, once, run, scratch_of_target, tools};
use crate::ours::Ours;
use crate::wheels;

/// A server of this test's own, gone with it.
struct Server {
    process: Child,
    port: u16,
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

const SERVERS: [&str; 3] = ["moto[server]==5.2.5", "wsgidav==4.4.0", "cheroot==11.1.2"];

/// A program of the servers' environment.
fn program(name: &str) -> Command {
    let directory = scratch_of_target().join("servers");
    once(&directory, &format!("{SERVERS:?} in {}", tools().interpreter.display()), || {
        run(command(&tools().interpreter).args(["-I", "-m", "venv", "--clear"]).arg(&directory));
        let pip = ["-I", "-m", "pip", "install", "--quiet"];
        run(command(in_bin(&directory, "python")).args(pip).args(SERVERS));
    });
    command(in_bin(&directory, &exe(name)))
}

fn start(name: &str, arguments: &[&str]) -> Server {
    // A port that nobody has.
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let mut command = program(name);
    command.args(["--host", "127.0.0.1", "--port", &port.to_string()]).args(arguments);
    let process = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let server = Server { process, port };
    for _ in 0..300 {
        if std::net::TcpStream::connect(("127.0.0.1", port)).is_ok() {
            return server;
        }
        std::thread::sleep(std::time::Duration::from_millis(100));
    }
    panic!("{name} did not start");
}

/// With credentials that any S3 server of a test believes, and a bucket.
fn s3(ours: Ours) -> (Server, Ours) {
    let server = start("moto_server", &[]);
    let endpoint = format!("http://127.0.0.1:{}", server.port);
    let make = format!(
        "import urllib.request as r; r.urlopen(r.Request('{endpoint}/bucket', method='PUT'))"
    );
    run(command(&tools().python).args(["-c", &make]));
    let ours = ours
        .variable("AWS_ACCESS_KEY_ID", "key")
        .variable("AWS_SECRET_ACCESS_KEY", "secret")
        .variable("AWS_REGION", "us-east-1")
        .variable("AWS_ENDPOINT_URL", &endpoint)
        .variable("PYENV_BUILD_STORE", "s3://bucket/ci");
    (server, ours)
}

fn web_dav(ours: Ours, root: &Path) -> (Server, Ours) {
    fs::create_dir(root).unwrap();
    let server = start("wsgidav", &["--auth", "anonymous", "--root", root.to_str().unwrap()]);
    let url = format!("http://127.0.0.1:{}/ci", server.port);
    (server, ours.variable("PYENV_BUILD_STORE", &url))
}

/// The directory on another machine: nothing is there but the checkout.
fn empty(directory: &Path) {
    let origin = directory.with_file_name("origin");
    fs::rename(directory, &origin).unwrap();
    let (from, to) = (format!("file://{}", origin.display()), directory.to_str().unwrap());
    git(directory.parent().unwrap(), &["clone", "--quiet", &from, to]);
    fs::remove_dir_all(origin).unwrap();
}

#[test]
#[ignore = "a minute: rpds-py is compiled; CI runs it"]
fn an_empty_machine_builds_rpds_py_from_each_kind_of_store() {
    let scratch = Scratch::new();
    let directory = checkout(&scratch, "rpds-py", "0.30.0");
    let writer = Ours::new(&directory).argument("--store-write").argument("always");
    let shared = format!("file://{}", scratch.path().join("shared").display());
    let (_s3, on_s3) = s3(writer.clone());
    let (_dav, on_dav) = web_dav(writer.clone(), &scratch.path().join("dav"));
    let in_directory = writer.variable("PYENV_BUILD_STORE", &shared);
    let first = in_directory.build();
    assert!(first.compiled().len() > 10, "{:?}", first.compiled());
    for ours in [&on_s3, &on_dav] {
        // What is here already goes to the other stores, too.
        fs::remove_dir_all(directory.join("target")).unwrap();
        ours.build().assert_compiled_nothing("the first machine again");
    }
    for ours in [&in_directory, &on_s3, &on_dav] {
        empty(&directory);
        let built = ours.build();
        built.assert_compiled_nothing("an empty machine");
        assert_eq!(built.outcome(), "reused", "{}", built.stderr);
        wheels::assert_alike(&built.wheel(), &first.wheel());
    }
}

/// Minutes; CI runs it.
#[test]
#[ignore = "minutes: cryptography is compiled"]
fn an_empty_machine_builds_bcrypt_and_cryptography_from_s3() {
    for (name, version) in [("bcrypt", "5.0.0"), ("cryptography", "46.0.3")] {
        let scratch = Scratch::new();
        let directory = checkout(&scratch, name, version);
        let (_server, ours) =
            s3(Ours::new(&directory).argument("--store-write").argument("always"));
        ours.build();
        empty(&directory);
        let built = ours.build();
        built.assert_compiled_nothing(name);
        assert_eq!(built.outcome(), "reused", "{}", built.stderr);
    }
}

/// A directory of Rust's, wherever the home directory is.
fn of_home(variable: &str, name: &str) -> PathBuf {
    let home = || Path::new(&std::env::var_os("HOME").unwrap()).join(name);
    std::env::var_os(variable).map_or_else(home, PathBuf::from)
}

/// The lines of a job's script in the guide.
fn script_of_the_guide() -> Vec<String> {
    let guide = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/guides/shared-store.md");
    let text = fs::read_to_string(guide).unwrap();
    let job = text.split("## GitLab CI").nth(1).unwrap().split("```yaml").nth(1).unwrap();
    let yaml: serde_yaml_ng::Value =
        serde_yaml_ng::from_str(job.split("```").next().unwrap()).unwrap();
    let lines = yaml["wheel"]["script"].as_sequence().unwrap();
    lines.iter().map(|line| line.as_str().unwrap().to_owned()).collect()
}

#[test]
#[ignore = "a minute: an example is compiled in two profiles"]
fn the_guides_gitlab_job_runs_as_it_stands() {
    let scratch = Scratch::new();
    let directory = crate::examples::checkout(&scratch, "maturin-abi3");
    let script = script_of_the_guide().join("\n");
    let job = || {
        empty(&directory);
        let home = scratch.path().join("home");
        let _ = fs::remove_dir_all(&home);
        fs::create_dir(&home).unwrap();
        let program = Path::new(env!("CARGO_BIN_EXE_cargo-pyenv-build")).parent().unwrap();
        let path = std::env::var("PATH").unwrap();
        let mut shell = command("bash");
        shell
            .args(["-euo", "pipefail", "-c", &script])
            .current_dir(&directory)
            .env("HOME", home)
            .env("RUSTUP_HOME", of_home("RUSTUP_HOME", ".rustup"))
            .env("CARGO_HOME", of_home("CARGO_HOME", ".cargo"))
            .env("PATH", format!("{}:{path}", program.display()))
            .env("PYTHON", &tools().interpreter)
            .env("CI", "true")
            .env("GITLAB_CI", "true")
            .env("CI_COMMIT_REF_PROTECTED", "true")
            .env("CI_COMMIT_REF_NAME", "main")
            .env("PYENV_BUILD_STORE", format!("file://{}/shared", scratch.path().display()));
        run(&mut shell);
        // Of the last command that runs cargo, the tests.
        let report = fs::read(directory.join(".pyenv-build/reports/last.json")).unwrap();
        serde_json::from_slice::<serde_json::Value>(&report).unwrap()
    };
    let first = job();
    assert!(!first["crates"]["compiled"].as_array().unwrap().is_empty(), "{first}");
    let second = job();
    assert_eq!(second["crates"]["compiled"].as_array().unwrap().len(), 0, "{second}");
    assert!(!second["crates"]["reused"].as_array().unwrap().is_empty(), "{second}");
}
