use super::*;
use crate::doctor::workflows::file::parse;

fn on(event: &str, git_ref: &str) -> Occasion {
    Occasion {
        event: Some(event.into()),
        git_ref: git_ref.into(),
        default_branch: "main".into(),
        limits: Vec::new(),
    }
}

#[test]
fn conditions() {
    let main = on("push", "refs/heads/main");
    let pull_request = on("pull_request", "refs/pull/1/merge");
    let queue = on("merge_group", "refs/heads/gh-readonly-queue/main/pr-1-0");
    let (yes, no) = (Some(true), Some(false));
    for (text, expected) in [
        ("true", [yes, yes, yes]),
        ("${{ false }}", [no, no, no]),
        ("github.ref == 'refs/heads/main'", [yes, no, no]),
        ("${{ github.ref_name == 'MAIN' }}", [yes, no, no]),
        ("github.event_name != 'pull_request'", [yes, no, yes]),
        ("github.event_name == 'push' || github.event_name == 'merge_group'", [yes, no, yes]),
        (
            "github.ref == format('refs/heads/{0}', github.event.repository.default_branch)",
            [yes, no, no],
        ),
        ("!startsWith(github.ref, 'refs/heads/gh-readonly-queue/')", [yes, yes, no]),
        ("!cancelled() && (success() || failure())", [yes, yes, yes]),
        ("contains(github.ref, 'queue') == true", [no, no, yes]),
        ("github.base_ref == ''", [yes, None, yes]),
        ("contains(github.event.pull_request.labels.*.name, 'save')", [no, None, no]),
        ("steps.cache.outputs.cache-hit != 'true'", [yes, yes, yes]),
        // What only the run knows.
        ("needs.changes.outputs.rust == 'true'", [None, None, None]),
        ("vars.X && github.event_name == 'push'", [None, no, no]),
        ("vars.X || github.event_name == 'push'", [yes, None, None]),
        ("!vars.X", [None, None, None]),
        ("true == 'true'", [None, None, None]),
        ("a ${{ true }} b ${{ true }}", [None, None, None]),
        // What is not understood.
        ("github['ref'] == 'x'", [None, None, None]),
        ("'it''s' == 'x'", [None, None, None]),
        ("(true", [None, None, None]),
        ("true)", [None, None, None]),
        ("f('a' 'b')", [None, None, None]),
        ("", [None, None, None]),
    ] {
        let found = [&main, &pull_request, &queue].map(|occasion| occasion.holds(Some(text), None));
        assert_eq!(found, expected, "{text}");
    }
    let leg = Leg::from([("os".to_owned(), "linux".to_owned())]);
    assert_eq!(main.holds(Some("matrix.os == 'linux'"), Some(&leg)), yes);
    assert_eq!(
        (main.holds(Some("matrix.os == 'linux'"), None), main.holds(None, None)),
        (None, yes)
    );
}

#[test]
fn inputs() {
    let main = on("push", "refs/heads/main");
    let text = "${{ github.ref == 'refs/heads/main' && 'true' || 'false' }}";
    assert_eq!(
        (main.is_set(Some(text), false), on("push", "refs/heads/x").is_set(Some(text), true)),
        (Some(true), Some(false))
    );
    assert_eq!(
        (main.is_set(None, true), main.is_set(Some("false"), true)),
        (Some(true), Some(false))
    );
    assert_eq!(main.is_set(Some("${{ inputs.save }}"), true), None);
}

fn refs(text: &str) -> Vec<String> {
    let workflow =
        parse(Path::new(".github/workflows/ci.yml"), &format!("on: {text}\njobs: {{}}")).unwrap();
    let facts = Facts {
        workflows: vec![workflow],
        default_branch: Some("main".into()),
        ..Facts::default()
    };
    let all = occasions(&facts.workflows[0], &facts).into_iter();
    all.map(|one| format!("{} {}", one.event.unwrap_or_default(), one.git_ref)).collect()
}

#[test]
fn events_and_their_refs() {
    assert_eq!(
        refs("push"),
        ["push refs/heads/main", "push refs/heads/some-topic", "push refs/tags/v1.0.0"]
    );
    assert_eq!(refs("{push: {branches: [main]}}"), ["push refs/heads/main"]);
    assert_eq!(refs("{push: {branches: ['release/**']}}"), ["push refs/heads/release/x"]);
    assert_eq!(
        refs("{push: {branches: ['**', '!main']}}"),
        ["push refs/heads/some-topic", "push refs/heads/x"]
    );
    assert_eq!(
        refs("{push: {branches-ignore: [main]}}"),
        ["push refs/heads/some-topic", "push refs/heads/x"]
    );
    assert!(
        refs("{push: {tags: ['v[0-9]+.[0-9]+.[0-9]+']}}")
            .contains(&"push refs/tags/v1.0.0".to_owned())
    );
    assert_eq!(refs("{push: {tags: ['py-*']}}"), ["push refs/tags/py-x"]);
    assert_eq!(
        refs("{push: {tags: ['v*'], branches: main}}"),
        ["push refs/heads/main", "push refs/tags/v1.0.0", "push refs/tags/vx"]
    );
    assert_eq!(
        refs("[pull_request, schedule]"),
        ["pull_request refs/pull/1/merge", "schedule refs/heads/main"]
    );
    assert_eq!(refs("workflow_call"), [" "]);
}

#[test]
fn a_workflow_that_is_called_runs_when_its_callers_do() {
    let parsed =
        |name: &str, text: &str| parse(&Path::new(".github/workflows").join(name), text).unwrap();
    let callee = parsed("build.yml", "on: workflow_call\njobs: {}\n");
    let caller = parsed(
        "ci.yml",
        "on: [pull_request, merge_group]\njobs:\n  a:\n    if: github.event_name == 'pull_request'\n    cache-mode: read\n    uses: \
             ./.github/workflows/build.yml\n",
    );
    let itself =
        parsed("loop.yml", "on: workflow_call\njobs: {a: {uses: ./.github/workflows/loop.yml}}\n");
    let facts = Facts {
        workflows: vec![callee, caller, itself],
        default_branch: Some("main".into()),
        ..Facts::default()
    };
    let expected =
        Occasion { limits: vec!["read".into()], ..on("pull_request", "refs/pull/1/merge") };
    assert_eq!(occasions(&facts.workflows[0], &facts), [expected]);
    assert!(occasions(&facts.workflows[2], &facts).iter().all(|one| one.event.is_none()));
}

#[test]
fn where_git_does_not_know_the_default_branch_it_may_be_either() {
    let workflow =
        parse(Path::new("ci.yml"), "on: {push: {branches: [master]}}\njobs: {}\n").unwrap();
    let facts = Facts { workflows: vec![workflow], ..Facts::default() };
    let all = occasions(&facts.workflows[0], &facts);
    assert!(all.iter().any(Occasion::is_default_branch), "{all:?}");
    assert!(all.iter().any(|one| !one.is_default_branch()), "as it may be `main`");
}
