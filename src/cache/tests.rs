use std::time::Duration;

use super::*;

fn entry(id: u64, git_ref: &str, key: &str) -> Entry {
    let at = SystemTime::UNIX_EPOCH + Duration::from_secs(id);
    Entry {
        id,
        key: key.into(),
        git_ref: git_ref.into(),
        version: "v".into(),
        created: at,
        last_used: at,
        size_bytes: 10,
    }
}

#[test]
fn keys_fall_back_from_the_right_and_never_to_another_abi() {
    let digest = "0123456789abcdef";
    let store = Key::store("cp312-linux-x86_64", "build-1a2b3c4d", digest, "lock", "sources");
    let prefix = "pyenv-build-store-1/cp312-linux-x86_64/build-1a2b3c4d/";
    assert_eq!(store.key, format!("{prefix}0123456789ab/lock/sources"));
    assert_eq!(
        store.restore_keys,
        [
            format!("{prefix}0123456789ab/lock/"),
            format!("{prefix}0123456789ab/"),
            prefix.to_owned()
        ]
    );
    let env = Key::environments("cp313t-win-amd64", "x", digest, digest);
    assert_eq!(env.key, "pyenv-build-env-1/cp313t-win-amd64/x/0123456789ab/0123456789ab");
    assert_eq!(
        env.restore_keys,
        [
            "pyenv-build-env-1/cp313t-win-amd64/x/0123456789ab/",
            "pyenv-build-env-1/cp313t-win-amd64/x/"
        ]
    );
    assert_eq!(rust_cache_prefix("cp312-linux-x86_64"), "v0-rust-pyenv-build-cp312-linux-x86_64");
}

#[test]
fn a_leg_is_the_users_name_or_job_and_inputs() {
    assert_eq!(leg(Some("nightly"), "build", &["."]), "nightly");
    let odd = [
        leg(Some("a/b"), "build", &[]),
        leg(Some("a,b"), "build", &[]),
        leg(Some("a\nb"), "build", &[]),
    ];
    assert!(
        odd.iter().all(|leg| leg.starts_with("a-b-") && !leg.contains(['/', ',', '\n'])),
        "{odd:?}"
    );
    assert_eq!(odd.iter().collect::<BTreeSet<_>>().len(), 3);
    let unnamed = |job: &str, inputs: &[&str]| leg(None, job, inputs);
    assert!(unnamed("build", &["."]).starts_with("build-"));
    assert_ne!(unnamed("build", &["ab", "c"]), unnamed("build", &["a", "bc"]));
    assert_ne!(unnamed("build", &["."]), unnamed("test", &["."]));
    assert!(leg(Some(&"x".repeat(1000)), "", &[]).len() < 100);
}

#[test]
fn superseded_is_what_only_an_exact_lookup_would_find() {
    let store = |id, rest: &str| {
        entry(
            id,
            "refs/heads/main",
            &format!("pyenv-build-store-1/cp312-linux-x86_64/build-1/{rest}"),
        )
    };
    let entries = [
        store(1, "f1/l1/s1"),
        store(2, "f1/l1/s2"),
        store(3, "f2/l1/s3"),
        entry(4, "refs/heads/topic", "pyenv-build-store-1/cp312-linux-x86_64/build-1/f1/l1/s1"),
        entry(5, "refs/heads/main", "pyenv-build-store-1/cp313-linux-x86_64/build-1/f1/l1/s1"),
        entry(6, "refs/heads/main", "v0-rust-build-Linux-x64-aaaaaaaa-11111111"),
        entry(7, "refs/heads/main", "v0-rust-build-Linux-x64-aaaaaaaa-22222222"),
        entry(8, "refs/heads/main", "v0-rust-build-Linux-x64-bbbbbbbb-11111111"),
        Entry {
            version: "other paths".into(),
            ..entry(9, "refs/heads/main", "v0-rust-build-Linux-x64-aaaaaaaa-33333333")
        },
        entry(10, "refs/heads/main", "node-cache-Linux-x64-npm-1"),
        entry(11, "refs/heads/main", "node-cache-Linux-x64-npm-2"),
        entry(12, "refs/heads/main", "v0-rust-of-mine"),
        entry(13, "refs/heads/main", "v0-rust-of-mine-too"),
        entry(14, "refs/heads/main", "pyenv-build-store-2/cp312-linux-x86_64/build-1/f1/l1/s1/new"),
        entry(
            15,
            "refs/heads/main",
            "pyenv-build-store-2/cp312-linux-x86_64/build-1/f1/l1/s1/newer",
        ),
    ];
    let chosen = choose(&entries, &Policy::default());
    assert_eq!(
        chosen,
        BTreeMap::from([
            (1, Reason::Superseded(3)),
            (2, Reason::Superseded(3)),
            (6, Reason::Superseded(7))
        ])
    );
    let only_f1 = Policy {
        filter: Filter { fingerprint: Some("f1".into()), branch: Some("main".into()) },
        ..Policy::default()
    };
    assert_eq!(choose(&entries, &only_f1).into_keys().collect::<Vec<_>>(), [1, 2]);
    assert_eq!(
        choose(&entries, &Policy { all: true, ..only_f1 }).into_keys().collect::<Vec<_>>(),
        [1, 2, 5]
    );
}

#[test]
fn the_budget_takes_the_least_recently_used_and_nobody_elses() {
    let mut entries: Vec<Entry> = (1..=5)
        .map(|id| entry(id, "refs/heads/main", &format!("pyenv-build-env-1/a/leg{id}/r")))
        .collect();
    entries.push(entry(6, "refs/heads/main", "someone-elses"));
    entries[0].last_used += Duration::from_secs(100);
    let chosen = choose(&entries, &Policy { max_size_bytes: Some(25), ..Policy::default() });
    assert_eq!(chosen.into_keys().collect::<Vec<_>>(), [2, 3, 4]);
    assert!(choose(&entries, &Policy { max_size_bytes: Some(50), ..Policy::default() }).is_empty());
}

#[test]
fn unknown_pull_requests_are_not_closed_ones() {
    let entries = [
        entry(1, "refs/pull/7/merge", "pyenv-build-env-1/a/l/r"),
        entry(2, "refs/pull/8/merge", "pyenv-build-env-1/a/l/r"),
    ];
    assert!(choose(&entries, &Policy::default()).is_empty());
    let chosen =
        choose(&entries, &Policy { open_pull_requests: Some([8].into()), ..Policy::default() });
    assert_eq!(chosen, BTreeMap::from([(1, Reason::PullRequestClosed(7))]));
}

#[test]
fn sizes_are_read_and_said() {
    assert_eq!(parse_size("1.5 GB"), Ok(1_500_000_000));
    assert_eq!(parse_size("2MiB"), Ok(2 * 1024 * 1024));
    assert_eq!(parse_size("4096"), Ok(4096));
    assert!(
        parse_size("").is_err()
            && parse_size("much").is_err()
            && parse_size("-1").is_err()
            && parse_size("1.2.3").is_err()
    );
    assert_eq!(
        [size(0), size(999), size(1500), size(2_340_000_000)],
        ["0 B", "999 B", "1.5 kB", "2.3 GB"]
    );
}
