//! What the user says in `[tool.pyenv-build]`. A project has a Python, so these tests want one;
//! nothing is installed.

use crate::macros::user;
use crate::skip::not_tested;
use crate::sources::TWO;
use crate::world::{Keep, World};

/// A world whose project says these things; `None` where there is no Python.
pub(crate) fn saying(settings: &str, text: &str) -> Option<World> {
    let python =
        std::env::var("PYENV_BUILD_TEST_PYTHON").unwrap_or_else(|_error| "python3".to_owned());
    let found = std::process::Command::new(&python)
        .args(["-c", "import sys; print(sys.executable)"])
        .output()
        .ok()
        .filter(|output| output.status.success());
    let Some(found) = found else {
        not_tested("settings of a Python project", format_args!("`{python}` does not work"));
        return None;
    };
    let mut world = World::new(text);
    world.push("== backend.py\ndef build_wheel(*_): raise NotImplementedError\n");
    say(&world, settings);
    world.set("PYENV_BUILD_PYTHON", String::from_utf8(found.stdout).unwrap().trim());
    world.set("PIP_NO_INDEX", "1");
    world.set("UV_OFFLINE", "1");
    world.check_out("main");
    world.right("build");
    Some(world)
}

fn pyproject(settings: &str) -> String {
    format!(
        "[build-system]\nrequires = []\nbuild-backend = \"backend\"\nbackend-path = [\".\"]\n[tool.pyenv-build]\n{settings}\n"
    )
}

pub(crate) fn say(world: &World, settings: &str) {
    world.push(&format!("== pyproject.toml\n{}", pyproject(settings)));
}

#[test]
fn a_macro_that_is_said_to_read_nothing_is_served() {
    let Some(world) = saying("macros.macros = []", &user("pure")) else { return };
    world.next_job();
    world.right("build").expect(&[], &["app", "macros"]);
    world.push_edit("macros/src/lib.rs", "quoted(\"pure\")", "quoted(\"still pure\")");
    world.next_job();
    world.right("build").expect(&["app", "macros"], &[]);
}

#[test]
fn a_macro_whose_files_are_declared_is_compiled_when_they_change() {
    let Some(world) = saying("macros.macros = [\"app/*.txt\"]", &user("file")) else { return };
    world.next_job();
    world.right("build").expect(&[], &["app", "macros"]);
    world.push("== app/words.txt\nw2\n");
    world.next_job();
    world.right("build").expect(&["app"], &["macros"]);
    // One that appears counts as well.
    world.push("== app/more.txt\nm\n");
    world.next_job();
    world.right("build").expect(&["app"], &["macros"]);
    world.push_without(&["app/more.txt"]);
    world.next_job();
    world.right("build").expect(&[], &["app", "macros"]);
}

#[test]
fn a_macro_whose_variable_is_declared_is_compiled_when_it_changes() {
    let Some(mut world) = saying("macros.macros = [\"env:WORLD_MACRO\"]", &user("variable")) else {
        return;
    };
    world.next_job();
    world.right("build").expect(&[], &["app", "macros"]);
    world.set("WORLD_MACRO", "a");
    world.next_job();
    world.right("build").expect(&["app"], &["macros"]);
    world.unset("WORLD_MACRO");
    world.next_job();
    world.right("build").expect(&[], &["app", "macros"]);
}

#[test]
fn a_declared_macro_may_look_at_the_package_all_the_same() {
    let Some(world) = saying("macros.macros = []", &user("description")) else { return };
    world.push_edit("app/Cargo.toml", "d1", "d2");
    world.next_job();
    world.right("build").expect(&["app"], &["macros"]);
}

#[test]
fn a_declaration_that_goes_is_no_longer_believed() {
    let Some(world) = saying("macros.macros = []", &user("file")) else { return };
    world.push("== app/words.txt\nw2\n");
    say(&world, "");
    world.next_job();
    world.right("build").expect(&["app"], &["macros"]);
}

#[test]
fn inputs_are_those_of_all_crates() {
    let Some(world) = saying(
        "inputs = [\"schemas/*.json\", \"*/tests/*.txt\"]",
        &format!(
            "{TWO}    == schemas/x.json\n    one\n    == app/tests/d.txt\n    one\n    == mid/tests/d.txt\n    one\n"
        ),
    ) else {
        return;
    };
    world.next_job();
    world.right("build").expect(&[], &["app", "mid"]);
    world.push("== schemas/other.txt\nno such file\n== schemas/deep/y.json\nnor this\n");
    world.next_job();
    world.right("build").expect(&[], &["app", "mid"]);
    for text in [
        "== schemas/x.json\ntwo\n",
        "== schemas/y.json\nnew\n",
        "== app/tests/d.txt\ntwo\n== mid/tests/d.txt\ntwo\n",
    ] {
        world.push(text);
        world.next_job();
        world.right("build").expect(&["app", "mid"], &[]);
        world.next_job();
        world.right("build").expect(&[], &["app", "mid"]);
    }
}

#[test]
fn settings_that_change_while_a_command_runs_are_not_guessed() {
    let Some(world) = saying("macros.macros = []", &user("file")) else { return };
    world.push("== app/words.txt\nw2\n");
    world.next_job_with(Keep::Both);
    std::fs::write(world.base.join("pyproject.toml"), pyproject("")).unwrap();
    let built = world.finish(
        "build",
        world.ours(&[], &["sh", "-c", "cp ../pyproject.toml . && exec cargo build"]),
    );
    world.is_right("build", &built);
    assert!(built.compiled.contains(&"app".to_owned()), "{:?}", built.compiled);
}

#[test]
fn reuse_can_be_switched_off() {
    let world = World::built(TWO);
    world.next_job();
    let built = world.finish("build", world.ours(&["--reuse", "off"], &["cargo", "build"]));
    world.is_right("build", &built);
    assert_eq!((built.compiled.join(" "), built.reused.len()), ("app mid".to_owned(), 0));
    world.next_job();
    world.right("build").expect(&[], &["app", "mid"]);
}

#[test]
fn a_script_that_links_for_two_pythons_is_right_in_each() {
    // The second Python is another value of the variable that PyO3's build scripts look at.
    let mut world = World::new(
        r#"
        == app/Cargo.toml
        [dependencies]
        py = { path = "../py" }
        == app/src/main.rs
        fn main() { println!("v1 {}", py::WHICH); }
        == py/build.rs
        fn main() {
            println!("cargo:rerun-if-env-changed=PYO3_PYTHON");
            println!("cargo:rustc-env=WHICH={}", std::env::var("PYO3_PYTHON").unwrap_or_default());
        }
        == py/src/lib.rs
        pub const WHICH: &str = env!("WHICH");
        "#,
    );
    for (python, source, compiled) in [
        ("a", "v1", true),
        ("b", "v1", true),
        ("a", "v1", false),
        ("b", "v2", true),
        ("a", "v2", true),
        ("b", "v1", false),
        ("a", "v1", false),
    ] {
        world.set("PYO3_PYTHON", python);
        world.write(&format!(
            "== app/src/main.rs\nfn main() {{ println!(\"{source} {{}}\", py::WHICH); }}\n"
        ));
        let built = world.right("build");
        assert_eq!(!built.compiled.is_empty(), compiled, "{python} {source} {:?}", built.compiled);
    }
}
