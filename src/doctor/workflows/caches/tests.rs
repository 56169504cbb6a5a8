use std::path::Path;

use super::*;
use crate::doctor::workflows::file::parse;

fn facts(texts: &[&str]) -> Facts {
    let files = texts.iter().enumerate();
    let workflows = files
        .map(|(at, text)| parse(Path::new(&format!(".github/workflows/{at}.yml")), text).unwrap())
        .collect();
    Facts { workflows, default_branch: Some("main".into()), ..Facts::default() }
}

fn messages(findings: Vec<Finding>) -> Vec<String> {
    findings.into_iter().map(|finding| finding.message).collect()
}

/// A workflow on some events, of one job `test` with these steps.
fn workflow(on: &str, steps: &str) -> String {
    let indented = steps.lines().map(|line| format!("      {line}\n")).collect::<Vec<_>>().concat();
    format!("on: {on}\njobs:\n  test:\n    runs-on: ubuntu-latest\n    steps:\n{indented}")
}

const OURS: &str = "- uses: o/cargo-pyenv-build@v1\n";
const RUST_CACHE: &str = "- run: cargo pyenv-build\n- uses: Swatinem/rust-cache@v2\n";
const ON_MAIN: &str = "  with: {save-if: \"${{ github.ref == 'refs/heads/main' }}\"}\n";

#[test]
fn caches_that_nothing_saves() {
    let found = |on: &str, steps: &str| messages(nothing_saves(&facts(&[&workflow(on, steps)])));
    let of_main = "no workflow with our action runs on a push to the default branch (`main`), on a schedule or by hand";
    let expected =
        format!("nothing saves the caches that job `test` restores with our action: {of_main}");
    assert_eq!(found("pull_request", OURS), [expected]);
    for on in [
        "{pull_request: , push: {branches: [develop]}}",
        "{pull_request: , push: {branches-ignore: [main]}}",
        "{pull_request: , push: {tags: ['v*']}}",
        "[pull_request, merge_group]",
        "[pull_request, release]",
        "{push: {branches: [develop]}}",
        // Strangers start these on the default branch, and what they make is never saved.
        "[pull_request, issue_comment, workflow_run]",
    ] {
        assert_eq!(found(on, OURS).len(), 1, "{on}");
    }
    for on in [
        "push",
        "[pull_request, push]",
        "{pull_request: , push: {branches: [main]}}",
        "{pull_request: , push: {branches: ['ma*', 'release/**']}}",
        "{pull_request: , push: {paths: [src]}}",
        "{pull_request: , push: {tags-ignore: [x], branches: ['**']}}",
        "{pull_request: , schedule: [{cron: x}]}",
        "[pull_request, workflow_dispatch]",
        // What is published uses no cache.
        "{push: {tags: ['v*']}}",
        "release",
        // Somebody else's events.
        "workflow_call",
    ] {
        assert_eq!(found(on, OURS), [""; 0], "{on}");
    }
    for (with, expected) in [
        ("save-cache: always", 0),
        ("cache: false", 0),
        ("save-cache: never", 1),
        ("save-cache: '${{ inputs.save }}'", 0),
        ("cache: '${{ inputs.cache }}'", 0),
    ] {
        assert_eq!(
            found("pull_request", &format!("{OURS}  with: {{{with}}}\n")).len(),
            expected,
            "{with}"
        );
    }
    let never = found("[push, pull_request]", &format!("{OURS}  with: {{save-cache: never}}\n"));
    assert!(
        never.len() == 1
            && never[0]
                .ends_with(": the jobs that run on the default branch (`main`) only restore"),
        "{never:?}"
    );
}

#[test]
fn caches_of_others_around_our_command() {
    let found =
        |on: &str, steps: &str| messages(nothing_saves(&facts(&[&workflow(on, steps)]))).len();
    assert_eq!(found("pull_request", &format!("{RUST_CACHE}{ON_MAIN}")), 1);
    assert_eq!(found("pull_request", &format!("{RUST_CACHE}  with: {{save-if: false}}\n")), 1);
    assert_eq!(
        found("[push, pull_request]", &format!("{RUST_CACHE}  with: {{save-if: false}}\n")),
        1
    );
    // A branch that was renamed.
    assert_eq!(
        found(
            "[push, pull_request]",
            &format!("{RUST_CACHE}{}", ON_MAIN.replace("/main", "/master"))
        ),
        1
    );
    assert_eq!(found("[push, pull_request]", &format!("{RUST_CACHE}{ON_MAIN}")), 0);
    assert_eq!(found("pull_request", RUST_CACHE), 0, "each pull request saves for itself");
    assert_eq!(
        found(
            "pull_request",
            &format!("{RUST_CACHE}  with: {{save-if: \"${{{{ inputs.save }}}}\"}}\n")
        ),
        0
    );
    assert_eq!(
        found(
            "pull_request",
            &format!("- uses: Swatinem/rust-cache@v2\n{ON_MAIN}- run: cargo test\n")
        ),
        0,
        "it is not about ours"
    );
    let restore = "- run: cargo pyenv-build\n- uses: actions/cache/restore@v5\n";
    assert_eq!(found("pull_request", restore), 1);
    assert_eq!(found("pull_request", &restore.replace("/restore", "")), 0);
    let save = "- uses: actions/cache/save@v5\n  if: github.ref == 'refs/heads/main'\n";
    assert_eq!(found("pull_request", &format!("{restore}{save}")), 1);
    assert_eq!(found("[push, pull_request]", &format!("{restore}{save}")), 0);
}

#[test]
fn who_saves_may_be_elsewhere() {
    let found = |texts: &[&str]| messages(nothing_saves(&facts(texts))).len();
    let reader = workflow("pull_request", OURS);
    assert_eq!(found(&[&reader, &workflow("push", "- run: cargo test\n")]), 1);
    assert_eq!(found(&[&reader, &workflow("{push: {branches: [main]}}", OURS)]), 0);
    assert_eq!(found(&[&reader, &workflow("push", RUST_CACHE)]), 1, "of another kind");
    // What they do is not visible.
    assert_eq!(found(&[&reader, &workflow("push", "- uses: ./.github/actions/build\n")]), 0);
    assert_eq!(
        found(&[&reader, "on: push\njobs: {a: {uses: o/r/.github/workflows/build.yml@v1}}\n"]),
        0
    );
    // A workflow that is called has its callers' events.
    let called = workflow("workflow_call", OURS);
    let caller = |on: &str| format!("on: {on}\njobs: {{a: {{uses: ./.github/workflows/0.yml}}}}\n");
    assert_eq!(found(&[&called, &caller("pull_request")]), 1);
    assert_eq!(found(&[&called, &caller("[pull_request, push]")]), 0);
    // Jobs and steps that do not run there, or must not save.
    let both = workflow("[push, pull_request]", OURS);
    for (from, to) in [
        ("    steps:", "    if: github.event_name == 'pull_request'\n    steps:"),
        ("build@v1", "build@v1\n        if: github.event_name != 'push'"),
        ("    steps:", "    cache-mode: read\n    steps:"),
    ] {
        assert_eq!(found(&[&both.replace(from, to)]), 1, "{to}");
    }
    assert_eq!(
        found(&[&both.replace("    steps:", "    cache-mode: none\n    steps:")]),
        0,
        "nothing is restored either"
    );
    assert_eq!(found(&[&both.replace("    steps:", "    if: needs.x.outputs.y\n    steps:")]), 0);
}

#[test]
fn without_a_known_default_branch_it_may_be_one_of_two() {
    let found = |branch: &str| {
        let on = format!("{{pull_request: , push: {{branches: [{branch}]}}}}");
        messages(nothing_saves(&Facts { default_branch: None, ..facts(&[&workflow(&on, OURS)]) }))
    };
    assert_eq!((found("main"), found("master")), (Vec::new(), Vec::new()));
    let [message] = &found("trunk")[..] else { panic!() };
    assert!(
        message.contains(
            "a push to `main` or `master` (git does not know which branch is the default), on a"
        ),
        "{message}"
    );
}

#[test]
fn what_the_merge_queue_saves() {
    let found =
        |on: &str, steps: &str| messages(merge_queue_saves(&facts(&[&workflow(on, steps)])));
    let rust_cache = "- uses: Swatinem/rust-cache@v2\n";
    let files = "- uses: actions/cache@v5\n";
    let both = "[push, merge_group]";
    assert_eq!(
        found(both, rust_cache),
        ["job `test` saves caches with rust-cache in the merge queue"]
    );
    assert_eq!(
        found(both, files),
        ["job `test` saves caches with actions/cache in the merge queue"]
    );
    assert_eq!(found(both, &files.repeat(2)).len(), 1, "once for each job and action");
    let save = "- uses: actions/cache/save@v5\n";
    for saving in [
        format!("{rust_cache}  with: {{save-if: true}}\n"),
        format!(
            "{rust_cache}  with: {{save-if: \"${{{{ github.event_name != 'pull_request' }}}}\"}}\n"
        ),
        save.to_owned(),
        format!("{save}  if: steps.x.outputs.cache-hit != 'true'\n"),
    ] {
        assert_eq!(found(both, &saving).len(), 1, "{saving}");
    }
    for near in [
        format!("{rust_cache}{ON_MAIN}"),
        format!(
            "{rust_cache}  with: {{save-if: \"${{{{ github.event_name != 'merge_group' }}}}\"}}\n"
        ),
        format!("{rust_cache}  with: {{save-if: false}}\n"),
        format!("{rust_cache}  with: {{save-if: \"${{{{ inputs.save }}}}\"}}\n"),
        format!("{rust_cache}  if: github.event_name == 'push'\n"),
        files.replace("cache@", "cache/restore@"),
        format!("{save}  if: github.ref == 'refs/heads/main'\n"),
        format!("{save}  if: env.SAVE\n"),
        // Ours never saves there.
        OURS.to_owned(),
        format!("{OURS}  with: {{save-cache: always}}\n"),
    ] {
        assert_eq!(found(both, &near), [""; 0], "{near}");
    }
    assert_eq!(found("[push, pull_request]", rust_cache), [""; 0]);
    let limited =
        workflow(both, rust_cache).replace("    steps:", "    cache-mode: read\n    steps:");
    assert_eq!(messages(merge_queue_saves(&facts(&[&limited]))), [""; 0]);
}

#[test]
fn our_own_workflows_have_no_findings() {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join(".github/workflows");
    let text = |name: &str| fs_err::read_to_string(directory.join(name)).unwrap();
    let facts = facts(&[&text("ci.yml"), &text("release.yml")]);
    assert_eq!(facts.workflows.iter().map(|workflow| workflow.jobs.len()).min(), Some(5));
    assert_eq!(crate::doctor::examine(&facts), []);
}
