//! `direct_url.json`: marks an installed distribution as an editable install, with its source tree.
//!
//! Installers write one for the wheel that they were given; that it stands for a source tree is for
//! the frontend to say, which is us. `pip list`, `pip freeze` and uv read it.
//!
//! Source: <https://packaging.python.org/en/latest/specifications/direct-url/>

use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::Digest as _;

use super::Error;
use crate::fs;

const NAME: &str = "direct_url.json";

/// Makes an installed distribution an editable install of `project`, in its `.dist-info` directory
/// and the `RECORD` there.
///
/// Files are replaced, never written to: an installer may have linked them to its cache.
pub(crate) fn declare_editable(dist_info: &Path, project: &Path) -> Result<(), Error> {
    let url = url::Url::from_file_path(project)
        .map_or_else(|()| project.to_string_lossy().into_owned(), |url| url.to_string());
    let json = serde_json::json!({"url": url, "dir_info": {"editable": true}}).to_string();
    let record = dist_info.join("RECORD");
    let text = fs_err::read_to_string(&record)
        .map_err(|source| Error::Installed { path: record.clone(), source })?;
    let directory = dist_info.file_name().unwrap_or_default().to_string_lossy();
    let text = with_entry(&text, &format!("{directory}/{NAME}"), json.as_bytes());
    for (path, content) in [(dist_info.join(NAME), json.as_bytes()), (record, text.as_bytes())] {
        fs::write_atomic(&path, content).map_err(|source| Error::Write { path, source })?;
    }
    Ok(())
}

/// A `RECORD` in which a file has this content. Its path needs no quotes: names and versions have
/// no commas.
fn with_entry(record: &str, path: &str, content: &[u8]) -> String {
    let digest = URL_SAFE_NO_PAD.encode(sha2::Sha256::digest(content));
    let entry = format!("{path},sha256={digest},{}", content.len());
    let prefix = format!("{path},");
    let end = if record.contains("\r\n") { "\r\n" } else { "\n" };
    let others = record.lines().filter(|line| !line.starts_with(&prefix) && !line.is_empty());
    others.chain([entry.as_str()]).flat_map(|line| [line, end]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_has_one_entry_of_each_file() {
        let expected = "a.pth,sha256=x,1\na-1.dist-info/RECORD,,\n\
            a-1.dist-info/direct_url.json,sha256=RBNvo1WzZ4oRRq0W9-hknpT7T8If536DEMBg9hyq_4o,2\n";
        let with =
            "a.pth,sha256=x,1\na-1.dist-info/direct_url.json,sha256=y,99\na-1.dist-info/RECORD,,\n";
        let without = "a.pth,sha256=x,1\na-1.dist-info/RECORD,,";
        for record in [with, without, expected] {
            assert_eq!(with_entry(record, "a-1.dist-info/direct_url.json", b"{}"), expected);
        }
        assert!(with_entry("a,,\r\n", "b", b"").starts_with("a,,\r\nb,sha256="));
    }
}
