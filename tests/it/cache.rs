//! `cache list|usage|prune` against a server on the loopback that behaves as GitHub's does: its
//! JSON, its paging, its headers.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};

use crate::context::{Program, Run, Test};

const REPOSITORY: &str = "octo/project";

/// An entry of the repository.
#[derive(Debug, Clone)]
struct Entry {
    id: u64,
    git_ref: String,
    key: String,
    version: String,
    /// Minutes after an hour long ago.
    created: u64,
    used: u64,
    size: u64,
}

impl Entry {
    fn new(id: u64, git_ref: &str, key: &str) -> Self {
        Self {
            id,
            git_ref: git_ref.into(),
            key: key.into(),
            version: "73885106f58cc52a".into(),
            created: id,
            used: id + 60,
            size: 1_000_000,
        }
    }

    fn json(&self) -> Value {
        // As many digits after the second as GitHub happens to have.
        let time = |minutes: u64| {
            let (day, hour, minute) = (1 + minutes / 1440, minutes / 60 % 24, minutes % 60);
            format!(
                "2026-03-{day:02}T{hour:02}:{minute:02}:07{}Z",
                ["", ".5", ".033333300"][(minutes % 3) as usize]
            )
        };
        json!({
            "id": self.id, "ref": self.git_ref, "key": self.key, "version": self.version,
            "last_accessed_at": time(self.used), "created_at": time(self.created), "size_in_bytes": self.size,
        })
    }
}

/// What the server says instead of what it would say, so many times.
#[derive(Debug, Clone)]
struct Fault {
    method: &'static str,
    path: &'static str,
    times: u32,
    status: u16,
    headers: Vec<(&'static str, String)>,
    body: Value,
}

impl Fault {
    fn new(
        method: &'static str,
        path: &'static str,
        times: u32,
        status: u16,
        message: &str,
    ) -> Self {
        let body = json!({"message": message, "documentation_url": "https://docs.github.com/rest", "status": status.to_string()});
        Self { method, path, times, status, headers: Vec::new(), body }
    }

    fn header(mut self, name: &'static str, value: impl Into<u64>) -> Self {
        self.headers.push((name, value.into().to_string()));
        self
    }
}

#[derive(Debug, Default)]
struct State {
    entries: Vec<Entry>,
    open_pulls: Vec<u64>,
    faults: Vec<Fault>,
    /// `GET /repos/...?page=1`, in order.
    requests: Vec<String>,
    /// The connection is cut so many times, before an answer.
    cuts: u32,
}

/// GitHub, as far as this goes. Tokens are `write`, `read` and `none`.
struct GitHub {
    url: String,
    state: Arc<Mutex<State>>,
}

impl GitHub {
    fn new(entries: Vec<Entry>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/api/v3", listener.local_addr().unwrap());
        let state = Arc::new(Mutex::new(State { entries, ..State::default() }));
        let shared = Arc::clone(&state);
        // It ends with the tests.
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let state = Arc::clone(&shared);
                std::thread::spawn(move || serve(stream, &state));
            }
        });
        Self { url, state }
    }

    fn with(self, change: impl FnOnce(&mut State)) -> Self {
        change(&mut self.state.lock().unwrap());
        self
    }

    fn ids(&self) -> Vec<u64> {
        self.state.lock().unwrap().entries.iter().map(|entry| entry.id).collect()
    }

    fn requests(&self) -> Vec<String> {
        self.state.lock().unwrap().requests.clone()
    }

    fn run(&self, test: &Test, token: &str, args: &[&str]) -> Run {
        self.program(test, token, args).run()
    }

    fn program(&self, test: &Test, token: &str, args: &[&str]) -> Program {
        test.program(&["cache"])
            .args(args)
            .env("GITHUB_API_URL", &self.url)
            .env("GITHUB_REPOSITORY", REPOSITORY)
            .env("GITHUB_TOKEN", token)
    }
}

fn serve(mut stream: TcpStream, state: &Mutex<State>) {
    let mut reader = BufReader::new(stream.try_clone().unwrap());
    loop {
        let mut head = Vec::new();
        loop {
            let mut line = String::new();
            if reader.read_line(&mut line).unwrap_or(0) == 0 {
                return;
            }
            if line.trim_end().is_empty() {
                break;
            }
            head.push(line.trim_end().to_owned());
        }
        let mut words = head[0].split(' ');
        let (method, target) = (words.next().unwrap(), words.next().unwrap());
        let header = |name: &str| {
            head.iter().find_map(|line| {
                line.split_once(": ").filter(|(key, _)| key.eq_ignore_ascii_case(name))
            })
        };
        let token = header("authorization")
            .and_then(|(_, value)| value.split_once(' '))
            .map_or("", |(_, token)| token);
        let has_agent = header("user-agent").is_some();
        let mut state = state.lock().unwrap();
        state.requests.push(format!("{method} {target}"));
        if state.cuts > 0 {
            state.cuts -= 1;
            return;
        }
        let (status, headers, body) = answer(&mut state, method, target, token, has_agent);
        drop(state);
        let body = body.map(|body| body.to_string()).unwrap_or_default();
        let mut text =
            format!("HTTP/1.1 {status} X\r\ncontent-type: application/json; charset=utf-8\r\n");
        for (name, value) in headers {
            let _ = write!(text, "{name}: {value}\r\n");
        }
        if status != 204 {
            let _ = write!(text, "content-length: {}\r\n", body.len());
        }
        if stream.write_all(format!("{text}\r\n{body}").as_bytes()).is_err() {
            return;
        }
    }
}

type Answer = (u16, Vec<(&'static str, String)>, Option<Value>);

fn answer(state: &mut State, method: &str, target: &str, token: &str, has_agent: bool) -> Answer {
    let fail = |status: u16, message: &str| -> Answer {
        let docs = "https://docs.github.com/rest/actions/cache";
        (
            status,
            Vec::new(),
            Some(
                json!({"message": message, "documentation_url": docs, "status": status.to_string()}),
            ),
        )
    };
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    if let Some(fault) = state
        .faults
        .iter_mut()
        .find(|fault| fault.times > 0 && fault.method == method && path.contains(fault.path))
    {
        fault.times -= 1;
        return (fault.status, fault.headers.clone(), Some(fault.body.clone()));
    }
    if !has_agent {
        return fail(
            403,
            "Request forbidden by administrative rules. Please make sure your request has a User-Agent header.",
        );
    }
    if !["write", "read", "none"].contains(&token) {
        return fail(401, "Bad credentials");
    }
    let Some(rest) = path.strip_prefix(&format!("/api/v3/repos/{REPOSITORY}/")) else {
        return fail(404, "Not Found");
    };
    if token == "none" || (method == "DELETE" && token != "write") {
        return fail(403, "Resource not accessible by integration");
    }
    let query: BTreeMap<&str, &str> =
        query.split('&').filter_map(|pair| pair.split_once('=')).collect();
    let number = |name: &str, default: usize| {
        query.get(name).map_or(default, |value| value.parse().unwrap())
    };
    let per_page = number("per_page", 30).min(100);
    let page = number("page", 1);
    let on_page = |count: usize| ((page - 1) * per_page).min(count)..(page * per_page).min(count);
    match (method, &rest.split('/').collect::<Vec<_>>()[..]) {
        ("GET", ["actions", "caches"]) => {
            let mut entries = state.entries.clone();
            match query.get("sort").copied().unwrap_or("last_accessed_at") {
                "created_at" => entries.sort_by_key(|entry| (entry.created, entry.id)),
                "last_accessed_at" => entries.sort_by_key(|entry| (entry.used, entry.id)),
                _ => return fail(422, "Invalid sort"),
            }
            if query.get("direction") != Some(&"asc") {
                entries.reverse();
            }
            let list: Vec<Value> =
                entries[on_page(entries.len())].iter().map(Entry::json).collect();
            (200, Vec::new(), Some(json!({"total_count": entries.len(), "actions_caches": list})))
        }
        ("DELETE", ["actions", "caches", id]) => {
            let before = state.entries.len();
            state.entries.retain(|entry| entry.id.to_string() != *id);
            if state.entries.len() == before {
                fail(404, "Not Found")
            } else {
                (204, Vec::new(), None)
            }
        }
        ("GET", ["pulls"]) => {
            assert_eq!(query.get("state"), Some(&"open"));
            let list: Vec<Value> = state.open_pulls[on_page(state.open_pulls.len())]
                .iter()
                .map(|number| json!({"id": number * 1000, "number": number, "state": "open", "title": "x", "user": {"login": "octocat"}}))
                .collect();
            (200, Vec::new(), Some(Value::Array(list)))
        }
        _ => fail(404, "Not Found"),
    }
}

/// 500 entries as a repository has them after a few weeks: each line is a block of ids, in the
/// order of their creation.
fn recorded() -> Vec<Entry> {
    let mut entries: Vec<Entry> = Vec::new();
    let mut add =
        |git_ref: &str, key: &str| entries.push(Entry::new(entries.len() as u64 + 1, git_ref, key));
    let main = "refs/heads/main";
    // 1-90: rust-cache with our prefix on three systems, thirty states of the lock file.
    for state in 0..30 {
        for system in ["Linux-x64", "Darwin-arm64", "Windows_NT-x64"] {
            add(
                main,
                &format!(
                    "v0-rust-pyenv-build-cp312-linux-x86_64-build-1a2b3c4d-{system}-5ca1ab1e-{state:08x}"
                ),
            );
        }
    }
    // 91-150: the store of sixty commits; the environment changed at the fortieth, the lock file
    // now and then.
    for commit in 0..60 {
        let fingerprint = if commit < 40 { "0123456789ab" } else { "ba9876543210" };
        let lock = format!("{:012x}", commit / 7);
        add(
            main,
            &format!(
                "pyenv-build-store-1/cp312-linux-x86_64/build-1a2b3c4d/{fingerprint}/{lock}/{commit:012x}"
            ),
        );
    }
    // 151-160: ten sets of build requirements.
    for request in 0..10 {
        add(
            main,
            &format!(
                "pyenv-build-env-1/cp312-linux-x86_64/build-1a2b3c4d/{request:012x}/00000000000f"
            ),
        );
    }
    // 161-320: forty pull requests, four entries each; two of a store, the second of another
    // commit.
    for number in 1..=40 {
        let git_ref = format!("refs/pull/{number}/merge");
        add(
            &git_ref,
            &format!(
                "v0-rust-pyenv-build-cp312-linux-x86_64-build-1a2b3c4d-Linux-x64-5ca1ab1e-{number:08x}"
            ),
        );
        add(
            &git_ref,
            "pyenv-build-env-1/cp312-linux-x86_64/build-1a2b3c4d/00000000000a/00000000000f",
        );
        for commit in 0..2 {
            add(
                &git_ref,
                &format!(
                    "pyenv-build-store-1/cp312-linux-x86_64/build-1a2b3c4d/ba9876543210/000000000008/{commit:012x}"
                ),
            );
        }
    }
    // 321-340: rust-cache without us, two toolchains in turn.
    for state in 0..20 {
        add(
            main,
            &format!("v0-rust-test-Linux-x64-{}-{state:08x}", ["aaaaaaaa", "bbbbbbbb"][state % 2]),
        );
    }
    // 341-460: other people's, some of them of closed pull requests.
    for number in 0..100 {
        add(main, &format!("node-cache-Linux-x64-npm-{number:08x}-{number:08x}"));
    }
    for number in 1..=20 {
        add(
            &format!("refs/pull/{number}/merge"),
            &format!("setup-python-Linux-x64-pyenv-build-{number:08x}"),
        );
    }
    // 461-475: five release branches, each with one of a kind.
    for number in 1..=5 {
        let git_ref = format!("refs/heads/release/{number}");
        add(
            &git_ref,
            "v0-rust-pyenv-build-cp312-linux-x86_64-build-1a2b3c4d-Linux-x64-5ca1ab1e-00000001",
        );
        add(
            &git_ref,
            "pyenv-build-env-1/cp312-linux-x86_64/build-1a2b3c4d/00000000000a/00000000000f",
        );
        add(
            &git_ref,
            "pyenv-build-store-1/cp312-linux-x86_64/build-1a2b3c4d/ba9876543210/000000000008/000000000001",
        );
    }
    // 476-485: rust-cache's, with a prefix of the users' own.
    for state in 0..10 {
        add(main, &format!("v1-rust-test-Linux-x64-aaaaaaaa-{state:08x}"));
    }
    // 486-495: the first block's Linux once more, packed by another tar.
    for state in 30..40 {
        add(
            main,
            &format!(
                "v0-rust-pyenv-build-cp312-linux-x86_64-build-1a2b3c4d-Linux-x64-5ca1ab1e-{state:08x}"
            ),
        );
    }
    // 496-500: a merge queue.
    for number in 1..=5 {
        add(
            &format!("refs/heads/gh-readonly-queue/main/pr-{number}-c0ffee"),
            "v0-rust-test-Linux-x64-aaaaaaaa-00000000",
        );
    }
    for entry in &mut entries[485..495] {
        entry.version = "0ther7ar".into();
    }
    // The service does not keep them in any order.
    entries.sort_by_key(|entry| entry.id * 7919 % 503);
    entries
}

/// Open among those of [`recorded`].
const OPEN: &[u64] = &[7, 20, 33, 38];

/// What prune chooses of [`recorded`], on each page of the list.
const CHOSEN: &[(&str, &str)] = &[
    // superseded; superseded
    ("1-100", "1-87 91-100"),
    // superseded; superseded; pull requests 1 to 6; 7 is open and has a superseded store; 8 to 10
    ("101-200", "101-149 151-159 161-184 187 189-200"),
    // 11 to 19; of 20; 21 to 32; of 33; 34 and 35
    ("201-300", "201-236 239 241-288 291 293-300"),
    // 36 and 37; of 38; 39 and 40; superseded
    ("301-400", "301-308 311 313-320 321-338"),
    // superseded
    ("401-500", "486-494"),
];

fn ranges(text: &str) -> Vec<u64> {
    let numbers = |range: &str| {
        let (first, last) = range.split_once('-').unwrap_or((range, range));
        first.parse::<u64>().unwrap()..=last.parse().unwrap()
    };
    text.split_whitespace().flat_map(numbers).collect()
}

#[test]
fn prune_chooses_exactly_what_the_table_says_page_by_page() {
    let test = Test::pristine();
    let github = GitHub::new(recorded()).with(|state| state.open_pulls = OPEN.to_vec());
    let run = github.run(&test, "read", &["--message-format", "json", "prune"]).success();
    let report = run.json();
    assert_eq!((&report["dry_run"], &report["deleted"]), (&json!(true), &json!(0)));
    let chosen: Vec<u64> = report["caches"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| one["id"].as_u64().unwrap())
        .collect();
    for (page, expected) in CHOSEN {
        let page = ranges(page);
        let found: Vec<u64> = chosen.iter().copied().filter(|id| page.contains(id)).collect();
        assert_eq!(found, ranges(expected), "page {}", page[0]);
    }
    assert_eq!(chosen.len(), CHOSEN.iter().map(|(_, ids)| ranges(ids).len()).sum::<usize>());
    let reasons = |reason: &str| {
        report["caches"].as_array().unwrap().iter().filter(|one| one["reason"] == reason).count()
    };
    assert_eq!((reasons("superseded"), reasons("pull-request-closed")), (186, 144));

    // 500 entries are five full pages and the one that has nothing more.
    let base = format!("GET /api/v3/repos/{REPOSITORY}");
    let mut expected: Vec<String> = (1..=6)
        .map(|page| {
            format!("{base}/actions/caches?sort=created_at&direction=asc&per_page=100&page={page}")
        })
        .collect();
    expected.push(format!("{base}/pulls?state=open&per_page=100&page=1"));
    assert_eq!(github.requests(), expected);
    assert_eq!(github.ids().len(), 500, "and nothing was deleted");

    let human = github.run(&test, "read", &["prune"]).success();
    assert_eq!(human.stdout, "");
    assert!(
        human.stderr.ends_with(" Would prune 330 caches, 330.0 MB; use `--yes` to remove them\n"),
        "{}",
        human.stderr
    );

    let run = github.run(&test, "write", &["prune", "--yes"]).success();
    assert!(run.stderr.ends_with("      Pruned 330 caches, 330.0 MB\n"), "{}", run.stderr);
    let mut left = github.ids();
    left.sort_unstable();
    assert_eq!(left, (1..=500).filter(|id| !chosen.contains(id)).collect::<Vec<_>>());
    let again = github.run(&test, "write", &["prune", "--yes"]).success();
    assert_eq!(again.stderr, "      Pruned 0 caches, 0 B\n");
}

fn few() -> Vec<Entry> {
    let store = |id, git_ref: &str, fingerprint: &str, commit: &str| {
        Entry::new(
            id,
            git_ref,
            &format!(
                "pyenv-build-store-1/cp312-linux-x86_64/build-1a2b3c4d/{fingerprint}/000000000001/{commit}"
            ),
        )
    };
    vec![
        store(1, "refs/heads/main", "0123456789ab", "a"),
        store(2, "refs/heads/main", "0123456789ab", "b"),
        store(3, "refs/heads/topic", "ba9876543210", "c"),
        store(4, "refs/pull/9/merge", "ba9876543210", "d"),
        Entry::new(5, "refs/heads/main", "node-cache-Linux"),
    ]
}

#[test]
fn list_and_usage_show_what_is_there() {
    let test = Test::pristine();
    let github = GitHub::new(few());
    let lines = |args: &[&str]| -> Vec<String> {
        let run = github.run(&test, "read", args).success();
        assert_eq!(run.stderr, "");
        run.lines()
            .iter()
            .map(|line| line.split_whitespace().collect::<Vec<_>>().join(" "))
            .collect()
    };
    let key = |fingerprint: &str, commit: &str| {
        format!(
            "pyenv-build-store-1/cp312-linux-x86_64/build-1a2b3c4d/{fingerprint}/000000000001/{commit}"
        )
    };
    assert_eq!(
        lines(&["list"]),
        [
            format!("1 1.0 MB 2026-03-01 main {}", key("0123456789ab", "a")),
            format!("2 1.0 MB 2026-03-01 main {}", key("0123456789ab", "b")),
            format!("3 1.0 MB 2026-03-01 topic {}", key("ba9876543210", "c")),
            format!("4 1.0 MB 2026-03-01 refs/pull/9/merge {}", key("ba9876543210", "d")),
        ]
    );
    assert_eq!(lines(&["list", "--all"]).len(), 5);
    assert_eq!(lines(&["list", "--branch", "topic"]).len(), 1);
    assert_eq!(lines(&["list", "--branch", "refs/pull/9/merge"]).len(), 1);
    assert_eq!(
        lines(&["list", "--fingerprint", &format!("ba9876543210{}", "0".repeat(52))]).len(),
        2,
        "a whole fingerprint will do"
    );
    assert_eq!(lines(&["list", "--fingerprint", "0123"]).len(), 2, "and so will its beginning");
    assert_eq!(
        lines(&["usage"]),
        [
            "2.0 MB 2 pyenv-build main",
            "1.0 MB 1 pyenv-build refs/pull/9/merge",
            "1.0 MB 1 pyenv-build topic",
            "1.0 MB 1 other main",
            "5.0 MB 5 all octo/project",
        ]
    );
    let report = github.run(&test, "read", &["--message-format=json", "usage"]).success().json();
    assert_eq!(report["total"], json!({"count": 5, "size_bytes": 5_000_000}));
    let report = github
        .run(&test, "read", &["--message-format=json", "list", "--branch", "topic"])
        .success()
        .json();
    assert_eq!(
        report["caches"],
        json!([{
            "id": 3, "key": key("ba9876543210", "c"), "ref": "refs/heads/topic", "owner": "pyenv-build", "fingerprint": "ba9876543210",
            "size_bytes": 1_000_000, "created_at": "2026-03-01T00:03:07Z", "last_accessed_at": "2026-03-01T01:03:07Z",
        }])
    );
}

#[test]
fn prune_obeys_branch_fingerprint_and_budget() {
    let test = Test::pristine();
    let chosen = |args: &[&str]| -> Vec<u64> {
        let github = GitHub::new(few()).with(|state| state.open_pulls = vec![9]);
        let report = github
            .run(&test, "write", &[&["--message-format=json", "prune"], args].concat())
            .success()
            .json();
        report["caches"].as_array().unwrap().iter().map(|one| one["id"].as_u64().unwrap()).collect()
    };
    assert_eq!(chosen(&[]), [1]);
    assert_eq!(chosen(&["--dry-run", "--branch", "topic"]), [0_u64; 0]);
    assert_eq!(chosen(&["--branch", "topic", "--all"]), [3]);
    assert_eq!(chosen(&["--fingerprint", "ba98", "--all"]), [3, 4]);
    assert_eq!(chosen(&["--max-size", "2MB"]), [1, 2]);
    assert_eq!(chosen(&["--max-size", "0", "--branch", "main"]), [1, 2]);
    let github = GitHub::new(few());
    for args in [
        &["prune", "--all"][..],
        &["prune", "--yes", "--dry-run"],
        &["prune", "--max-size", "much"],
    ] {
        let run = github.run(&test, "write", args).exits(2);
        assert_eq!(run.stdout, "");
    }
    assert_eq!(github.requests(), [""; 0], "a mistake asks nobody");
}

#[test]
fn what_the_token_may_not_do_is_one_line() {
    let test = Test::pristine();
    let github = GitHub::new(few()).with(|state| state.open_pulls = vec![9]);
    let run = github.run(&test, "read", &["prune", "--yes"]).success();
    assert_eq!(
        run.stderr,
        "     Skipped the token is not allowed to delete caches: add `permissions: actions: write` to the job\n"
    );
    assert_eq!(github.requests().len(), 3, "it is tried once");
    let run = github.run(&test, "none", &["prune", "--yes"]).success();
    assert_eq!(
        run.stderr,
        "     Skipped the token is not allowed to list caches: add `permissions: actions: read` to the job\n"
    );
    let run = github.run(&test, "none", &["list"]).exits(2);
    assert!(
        run.error().starts_with("the token is not allowed to list caches: Resource not accessible"),
        "{}",
        run.error()
    );
    assert_eq!(run.hint(), "add `permissions: actions: read` to the job, or use a different token");
    // Without the right to see pull requests none counts as closed.
    let github = GitHub::new(few()).with(|state| {
        state.faults.push(Fault::new(
            "GET",
            "/pulls",
            1,
            403,
            "Resource not accessible by integration",
        ));
    });
    let run = github.run(&test, "write", &["prune", "--yes"]).success();
    assert!(
        run.stderr.contains("add `permissions: pull-requests: read` to the job"),
        "{}",
        run.stderr
    );
    assert_eq!(github.ids(), [2, 3, 4, 5]);
}

#[test]
fn a_wrong_token_repository_or_address_is_a_mistake_with_a_hint() {
    let test = Test::pristine();
    let github = GitHub::new(few());
    let run = github.run(&test, "ghs_secret_but_wrong", &["list"]).exits(2);
    assert!(!run.stderr.contains("ghs_secret"), "the token is not shown");
    assert_eq!(run.error(), "GitHub rejected the token");
    let run = github.run(&test, "write", &["list", "--repository", "octo/none"]).exits(2);
    assert!(run.error().starts_with("`octo/none` does not exist at "), "{}", run.error());
    for name in ["octo", "octo/../x", "a/b/c", "a/b?x=1", "/b", "octo/$(id)"] {
        let run = github.run(&test, "write", &["list", "--repository", name]).exits(2);
        assert_eq!(run.error(), format!("`{name}` is not a repository's name"));
    }
    let run = github.program(&test, "write", &["list"]).env_remove("GITHUB_TOKEN").run().exits(2);
    assert!(run.hint().contains("GITHUB_TOKEN: ${{ github.token }}"), "{}", run.hint());
    github
        .program(&test, "write", &["list"])
        .env_remove("GITHUB_TOKEN")
        .env("GH_TOKEN", "read")
        .run()
        .success();
    let run =
        github.program(&test, "write", &["list"]).env_remove("GITHUB_REPOSITORY").run().exits(2);
    assert!(run.hint().contains("--repository"), "{}", run.hint());
    let run = github
        .program(&test, "write", &["list"])
        .env("GITHUB_API_URL", "not an address")
        .run()
        .exits(2);
    assert!(run.error().contains("is not a valid URL of GitHub's API"), "{}", run.error());
    let json = github.run(&test, "wrong", &["--message-format=json", "list"]).exits(2).json();
    assert_eq!((&json["ok"], &json["error"]["kind"]), (&json!(false), &json!("GitHub")));
}

#[test]
fn what_passes_is_waited_for() {
    let test = Test::pristine();
    let soon =
        std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
    let faults = vec![
        Fault::new("GET", "/actions/caches", 1, 502, "Server Error"),
        Fault::new("GET", "/actions/caches", 1, 429, "API rate limit exceeded")
            .header("retry-after", 0_u32),
        Fault::new("GET", "/pulls", 1, 403, "You have exceeded a secondary rate limit")
            .header("retry-after", 1_u32),
        Fault::new("GET", "/pulls", 1, 403, "API rate limit exceeded for installation")
            .header("x-ratelimit-remaining", 0_u32)
            .header("x-ratelimit-reset", soon),
        Fault::new("DELETE", "/actions/caches/1", 2, 503, "Service Unavailable"),
    ];
    let github = GitHub::new(few()).with(|state| (state.faults, state.cuts) = (faults, 1));
    let run = github.run(&test, "write", &["prune", "--yes"]).success();
    assert!(run.stderr.ends_with("      Pruned 2 caches, 2.0 MB\n"), "{}", run.stderr);
    assert_eq!(github.ids(), [2, 3, 5]);
    let asked =
        |what: &str| github.requests().iter().filter(|request| request.contains(what)).count();
    assert_eq!(
        (asked("GET /api/v3/repos/octo/project/actions/caches"), asked("/pulls"), asked("DELETE")),
        (4, 3, 4)
    );
}

#[test]
fn what_does_not_pass_is_given_up() {
    let test = Test::pristine();
    let github = GitHub::new(few()).with(|state| {
        state.faults.push(Fault::new("GET", "/actions/caches", u32::MAX, 500, "Server Error"));
    });
    let run = github.run(&test, "read", &["list"]).exits(1);
    assert_eq!(
        (run.error(), run.hint()),
        ("the request to GitHub failed: status 500: Server Error", "try again later")
    );
    assert_eq!(github.requests().len(), 5, "after so many attempts");
    // An hour is nothing to wait for.
    let github = GitHub::new(few()).with(|state| {
        state.faults.push(
            Fault::new("GET", "/actions/caches", u32::MAX, 429, "API rate limit exceeded")
                .header("retry-after", 3600_u32),
        );
    });
    let run = github.run(&test, "read", &["list"]).exits(1);
    assert_eq!(run.error(), "GitHub's rate limit is exceeded for the next 1h");
    assert_eq!(github.requests().len(), 1);
    // Deletions that fail are left for the next time, and so is what GitHub will not do for the
    // tenth time either.
    let github = GitHub::new(few()).with(|state| {
        state.open_pulls = vec![9];
        state.faults.push(Fault::new("DELETE", "/actions/caches/1", u32::MAX, 500, "Server Error"));
    });
    let run = github.run(&test, "write", &["prune", "--yes"]).success();
    assert!(
        run.stderr.starts_with(
            "warning: 1 of 1 caches were not removed: the request to GitHub failed: status 500"
        ),
        "{}",
        run.stderr
    );
    // Gone before we came: another job has pruned, too.
    let github = GitHub::new(few()).with(|state| {
        state.open_pulls = vec![9];
        state.faults.push(Fault::new("DELETE", "/actions/caches/1", 1, 404, "Not Found"));
    });
    let run = github.run(&test, "write", &["prune", "--yes"]).success();
    assert!(run.stderr.starts_with("        Gone "), "{}", run.stderr);
    // Nobody there.
    let run = github
        .program(&test, "read", &["list"])
        .env("GITHUB_API_URL", "http://127.0.0.1:9")
        .run()
        .exits(1);
    assert!(run.error().starts_with("the request to GitHub failed: "), "{}", run.error());
    assert!(!run.error().contains('\n'), "without a backtrace");
    // A proxy's page instead of an answer.
    let github = GitHub::new(few()).with(|state| {
        let mut fault = Fault::new("GET", "/actions/caches", 1, 200, "");
        fault.body = json!({"hello": "world"});
        state.faults.push(fault);
    });
    let run = github.run(&test, "read", &["list"]).exits(1);
    assert!(run.error().starts_with("GitHub sent an unexpected response: "), "{}", run.error());
}

#[test]
fn keys_and_branches_of_others_stay_on_their_line() {
    let test = Test::pristine();
    let evil =
        "pyenv-build-env-1/a/b/c\n::set-output name=x::y\r\u{1b}[2J$(touch evil)`touch evil`";
    let github = GitHub::new(vec![
        Entry::new(1, "refs/heads/a\n::add-path::/tmp", evil),
        Entry::new(2, "refs/heads/a\n::add-path::/tmp", evil),
    ]);
    for args in [&["list"][..], &["usage"], &["prune"]] {
        let run = github.run(&test, "read", args).success();
        for line in run.stdout.lines().chain(run.stderr.lines()) {
            assert!(!line.trim_start().starts_with("::") && !line.contains('\u{1b}'), "{line}");
        }
    }
    assert!(!test.path.join("evil").exists());
}
