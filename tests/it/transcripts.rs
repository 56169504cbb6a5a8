//! Conversations with hookd, as `-vv` shows them: recorded, and replayed to us by a hookd that is
//! none. hookd's own tests replay them to hookd (`hookd/tests/test_transcripts.py`).
//!
//! What differs from run to run is a placeholder: `[TREE]` is the source tree, `[LENT]` the
//! directory that hookd lends, `[ANY]` the rest of a line. `PYENV_BUILD_RECORD=1` records anew.

use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::bad_input::half_made;
use crate::context::*;

/// Backend, arguments, exit code and kind of error, when recorded and when replayed.
type Scene = (&'static str, &'static [&'static str], (i32, &'static str), (i32, &'static str));

const SCENES: &[Scene] = &[
    // The wheel of this backend is none; the replayed one is.
    ("minimal", &[], (1, "WrongArtifact"), (0, "")),
    ("raises", &["-C", "a=two\nlines \\n"], (1, "HookRuntimeError"), (1, "HookRuntimeError")),
    ("import_error", &[], (1, "BackendImportError"), (1, "BackendImportError")),
    ("wrong_type", &[], (1, "HookRuntimeError"), (1, "HookRuntimeError")),
    ("killed", &["-C", "signal=SIGKILL"], (1, "HookRuntimeError"), (1, "HookRuntimeError")),
    ("hangs", &["--hook-timeout=1s"], (1, "HookTimedOut"), (1, "HookTimedOut")),
];

/// Plays hookd's part: says what it said, once it has been told what it was told.
const PLAYER: &str = r#"
import base64, io, json, os, sys, tarfile, zipfile

def data(name):
    wheel = io.BytesIO()
    with zipfile.ZipFile(wheel, "w") as archive:
        info = "-".join(name.split("-")[:2]) + ".dist-info/"
        archive.writestr(info + "METADATA", "Metadata-Version: 2.1\nName: x\nVersion: 1\n")
        archive.writestr(info + "WHEEL", "Wheel-Version: 1.0\nTag: py3-none-any\n")
        archive.writestr(info + "RECORD", "")
    result = io.BytesIO()
    with tarfile.open(fileobj=result, mode="w") as archive:
        member = tarfile.TarInfo(name)
        member.size = len(wheel.getvalue())
        archive.addfile(member, io.BytesIO(wheel.getvalue()))
    return base64.b64encode(result.getvalue()).decode()

places = {"[TREE]": os.getcwd(), "[LENT]": "/lent"}
sys.stdin.readline()  # what would start a real one
name = ""
with open(sys.argv[1], encoding="utf-8", newline="\n") as transcript:
    for line in transcript:
        line = line.rstrip("\n")
        for place, path in places.items():
            line = line.replace(place, path)
        if line.startswith("hookd< "):
            said = sys.stdin.readline()
            if said != line[7:] + "\n":
                sys.exit("expected %r, was told %r" % (line[7:], said))
        elif line.startswith("hookd> DATA "):
            print("DATA", data(name), flush=True)
        elif line.startswith("hookd> "):
            if line.startswith('hookd> OK "') and "-" in line:
                name = json.loads(line[10:])
            print(line[7:], flush=True)
with open("played", "w") as file:
    file.write(sys.stdin.readline())
"#;

fn transcript(backend: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("hookd/tests/transcripts")
        .join(format!("{backend}.txt"))
}

/// The lines of the protocol in what `-vv` shows, with placeholders.
fn normalised(shown: &str, project: &Project) -> String {
    let mut lines: Vec<String> = Vec::new();
    let mut lent = None;
    for line in
        shown.lines().filter(|line| line.starts_with("hookd< ") || line.starts_with("hookd> "))
    {
        let mut line = line.replace(&*project.path.to_string_lossy(), "[TREE]");
        let word = line[7..].split(' ').next().unwrap_or_default().to_owned();
        if line.starts_with("hookd> ") {
            let first = "DEBUG hookd protocol 1, ";
            match word.as_str() {
                "DEBUG" if line[7..].starts_with(first) => line = format!("hookd> {first}[ANY]"),
                "DEBUG" => continue,
                "TRACEBACK" | "DATA" => line = format!("hookd> {word} [ANY]"),
                "OK" => {
                    if let Ok(Value::String(path)) = serde_json::from_str(&line[10..])
                        && path.starts_with('/')
                    {
                        lent = Some(path);
                    }
                }
                _ => {}
            }
        }
        if let Some(lent) = &lent {
            line = line.replace(lent.as_str(), "[LENT]");
        }
        if word != "DATA" || lines.last() != Some(&line) {
            lines.push(line);
        }
    }
    lines.join("\n") + "\n"
}

/// Pieces of output are cut anywhere, and two processes write in any order: their characters,
/// sorted. All else has its order.
fn ordered(text: &str) -> (Vec<&str>, Vec<char>) {
    let (output, rest): (Vec<_>, Vec<_>) =
        text.lines().partition(|line| line.starts_with("hookd> OUTPUT "));
    let mut characters: Vec<char> =
        output.iter().flat_map(|line| line["hookd> OUTPUT 1 ".len()..].chars()).collect();
    characters.sort_unstable();
    (rest, characters)
}

#[test]
#[cfg(unix)]
fn what_vv_shows_is_what_was_recorded() {
    let test = Test::new();
    for (backend, args, (code, kind), _) in SCENES {
        let project = test.project_with_backend(backend);
        let program = test
            .program(&["build", "-vv", "--message-format=json", "--launcher", "env"])
            .args(*args)
            .in_(&project);
        let run = program.run().exits(*code);
        assert_eq!(run.json()["error"]["kind"], *kind);
        let shown = normalised(&run.stderr, &project);
        if std::env::var_os("PYENV_BUILD_RECORD").is_some() {
            std::fs::write(transcript(backend), &shown).unwrap();
        }
        let recorded = std::fs::read_to_string(transcript(backend)).unwrap();
        assert_eq!(ordered(&shown), ordered(&recorded), "{backend}");
    }
}

#[test]
#[cfg(unix)]
fn we_say_to_a_recording_what_was_said_to_hookd() {
    let test = Test::new();
    let player = test.path.join("player.py");
    std::fs::write(&player, PLAYER).unwrap();
    for (backend, args, _, (code, kind)) in SCENES {
        let project = test.project_with_backend(backend);
        let launcher = format!(
            "'{}' '{}' '{}'",
            python().path.display(),
            player.display(),
            transcript(backend).display()
        );
        let program = test
            .program(&["build", "--message-format=json", "--launcher", &launcher])
            .args(*args)
            .in_(&project);
        let run = program.run().exits(*code);
        let report = run.json();
        assert_eq!(report["error"]["kind"].as_str().unwrap_or_default(), *kind);
        // It was played to its end, and nothing was said after that.
        assert_eq!(
            std::fs::read_to_string(project.path.join("played")).ok().as_deref(),
            Some(""),
            "{backend}: {}",
            run.stderr
        );
        let recorded = std::fs::read_to_string(transcript(backend)).unwrap();
        if let Some(error) =
            recorded.lines().find_map(|line| line.strip_prefix("hookd> ERROR HookRuntimeError "))
        {
            let message = report["error"]["message"].as_str().unwrap();
            assert!(message.ends_with(error), "{message} is not {error}");
        }
        assert_eq!(project.dist().exists(), *code == 0);
        assert_eq!(half_made(&project.root()), [""; 0]);
    }
}
