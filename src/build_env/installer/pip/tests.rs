use super::*;

#[test]
fn reads_all_kinds_of_a_report() {
    let report: Report = serde_json::from_str(
            r#"{"version": "1", "install": [
              {"download_info": {"url": "https://h/p/maturin-1.9.0-py3-none-any.whl", "archive_info": {"hash": "sha256=aa", "hashes": {"sha256": "aa"}}},
               "is_direct": false, "metadata": {"name": "Maturin", "version": "1.9.0"}},
              {"download_info": {"url": "https://h/x.git", "vcs_info": {"vcs": "git", "commit_id": "c0"}}, "is_direct": true,
               "metadata": {"name": "a.b_c", "version": "2"}}]}"#,
        )
        .unwrap();
    let found: Vec<Distribution> =
        report.install.into_iter().map(|item| item.distribution(false).unwrap()).collect();
    assert_eq!(
        found,
        [
            Distribution {
                name: "maturin".into(),
                version: Some("1.9.0".into()),
                artifact: Artifact::Index {
                    filename: "maturin-1.9.0-py3-none-any.whl".into(),
                    sha256: Some("aa".into())
                }
            },
            Distribution {
                name: "a-b-c".into(),
                version: Some("2".into()),
                artifact: Artifact::Vcs {
                    url: "https://h/x.git".into(),
                    commit: "c0".into(),
                    subdirectory: None
                }
            },
        ]
    );
}
