use std::path::PathBuf;

use super::*;

fn event(package: &str, kind: &str, what: What) -> Event {
    Event {
        at: 0.0,
        step: None,
        is_reported: true,
        package: package.to_owned(),
        version: "1.0.0".to_owned(),
        directory: PathBuf::from("/w").join(package),
        is_local: true,
        kind: kind.to_owned(),
        is_check: false,
        what,
        seconds: 0.5,
    }
}

fn ran(difference: Difference) -> What {
    What::Compiled { difference, ok: true, recorded: true, why_not: None }
}

fn reused() -> What {
    What::Reused { seconds_saved: 2.0, bytes: 10, origin: None }
}

#[test]
fn a_crate_was_compiled_if_rustc_ran_for_any_of_its_units() {
    let events = [
        event("a", "lib", reused()),
        event("b", "lib", reused()),
        event("b", "test", ran(Difference::File { path: "/w/b/src/x.rs".into() })),
        event(
            "c",
            "lib",
            ran(Difference::Extern {
                path: "/w/target/debug/deps/libb-0123456789abcdef.rmeta".into(),
            }),
        ),
        event(
            "d",
            "lib",
            What::Passed {
                because: Some("the macro reads".to_owned()),
                macro_name: Some("m = []".to_owned()),
            },
        ),
    ];
    let script = super::super::BuildScriptRun {
        name: "c".into(),
        version: "1.0.0".into(),
        workspace: true,
        reason: Reason::FirstBuild,
        detail: None,
        seconds: 0.1,
        output_changed: None,
        skipped: false,
    };
    let said = Crates { fresh: 3, build_scripts: vec![script], ..Crates::default() };
    let root = Path::new("/w");
    let (crates, store) = combine(said, &events, root);
    let compiled: Vec<_> = crates
        .compiled
        .iter()
        .map(|one| (one.name.as_str(), one.reason, one.detail.as_deref(), one.root_cause))
        .collect();
    assert_eq!(
        compiled,
        [
            ("b", Reason::InputChanged, Some("b/src/x.rs"), true),
            ("c", Reason::DependencyRebuilt, Some("b"), false),
            (
                "d",
                Reason::Macro,
                Some(
                    "the macro reads; if that is fine, add `m = []` to `[tool.pyenv-build.macros]`"
                ),
                true
            ),
        ]
    );
    assert_eq!(
        crates.reused,
        [ReusedCrate {
            name: "a".into(),
            version: "1.0.0".into(),
            seconds_saved: 2.0,
            made_by: None
        }]
    );
    assert_eq!((crates.fresh, crates.build_scripts[0].output_changed), (3, Some(false)));
    assert_eq!(
        store,
        StoreReport { reused: 2, recorded: 2, bytes: 20, seconds: 1.0, shared: None }
    );
}

#[test]
fn flags_of_a_build_script_have_the_reason_of_its_run() {
    let root = Path::new("/w");
    let base = compiled(&event("a", "lib", reused()), None, true, 0.0, root);
    let event = event(
        "a",
        "lib",
        ran(Difference::Arguments {
            old: vec!["--cfg=Py_3_12".into()],
            new: vec!["--cfg=Py_3_13".into()],
        }),
    );
    let recorded = CompiledCrate {
        reason: Reason::EnvVarChanged,
        detail: Some("PYO3_PYTHON".into()),
        seconds: 1.0,
        ..base
    };
    assert_eq!(compiled(&event, Some(recorded.clone()), true, 1.0, root), recorded);
    let reason = |has_script| compiled(&event, None, has_script, 1.0, root).reason;
    assert_eq!(reason(true), Reason::ScriptOutputChanged);
    assert_eq!(reason(false), Reason::RustflagsChanged);
}

#[test]
fn arguments_in_the_words_of_cargo() {
    let base = compiled(&event("a", "lib", reused()), None, false, 0.0, Path::new("/w"));
    let of = |old: &[&str], new: &[&str]| {
        let texts =
            |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>();
        let one = arguments(&texts(old), &texts(new), &base);
        (one.reason, one.old, one.new)
    };
    let text = |text: &str| Some(text.to_owned());
    assert_eq!(
        of(&["--cfg=feature=\"a\""], &["-Cmetadata=1"]),
        (Reason::FeaturesChanged, text("a"), text(""))
    );
    assert_eq!(of(&["-Copt-level=3"], &[]).0, Reason::ProfileChanged);
    assert_eq!(
        of(&[], &["-Ctarget-cpu=native"]),
        (Reason::RustflagsChanged, text(""), text("-Ctarget-cpu=native"))
    );
    assert_eq!(of(&["-Cmetadata=1"], &["-Cmetadata=2"]).0, Reason::DependencyRebuilt);
    assert_eq!(of(&[], &["--extern=priv:mid=/x/libmid-1.rlib"]).0, Reason::DependencyChanged);
}
