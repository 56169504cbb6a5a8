//! A hook's output: kept in a log, and cut into lines.

use std::io::{Read as _, Seek as _, Write as _};
use std::path::{Path, PathBuf};

use super::error::Error;

/// Longer lines are handed on in pieces.
const LONGEST_LINE: usize = 64 * 1024;

/// Logs to keep.
const LOGS_KEPT: usize = 20;

/// A new log file's path; the oldest ones beyond what is kept are removed.
pub(super) fn new_log(logs: &Path, ordinal: usize, hook: &str) -> Result<PathBuf, Error> {
    fs_err::create_dir_all(logs)
        .map_err(|source| Error::Prepare { path: logs.to_path_buf(), source })?;
    let mut old: Vec<PathBuf> = fs_err::read_dir(logs)
        .map(|entries| entries.filter_map(Result::ok).map(|entry| entry.path()).collect())
        .unwrap_or_default();
    // Names start with the time.
    old.sort();
    for path in old.iter().rev().skip(LOGS_KEPT - 1) {
        let _ = fs_err::remove_file(path);
    }
    let now = humantime::format_rfc3339_millis(std::time::SystemTime::now())
        .to_string()
        .replace([':', '.'], "-");
    Ok(logs.join(format!("{now}-{}-{}-{hook}.log", std::process::id(), ordinal)))
}

/// A log that is being written.
#[derive(Debug)]
pub(super) struct Log {
    file: fs_err::File,
    /// Standard output and standard error, whose pieces come in any order.
    streams: [Lines; 2],
}

impl Log {
    pub(super) fn create(path: &Path) -> std::io::Result<Self> {
        Ok(Self {
            file: fs_err::File::create(path)?,
            streams: [Lines::default(), Lines::default()],
        })
    }

    /// Keeps a piece of output, and hands on the lines that it completes.
    pub(super) fn push(&mut self, stream: u8, text: &str, sink: &mut dyn FnMut(&str)) {
        // A full disk is no reason to end the hook.
        let _ = self.file.write_all(text.as_bytes());
        self.streams[usize::from(stream == 2)].push(text.as_bytes(), sink);
    }

    /// Hands on what is left: last lines without an end.
    pub(super) fn finish(mut self, sink: &mut dyn FnMut(&str)) {
        for lines in &mut self.streams {
            lines.finish(sink);
        }
    }
}

/// The most that is kept of a log: a first part and a last part.
const KEPT_HEAD: u64 = 1024 * 1024;
const KEPT_TAIL: u64 = 15 * 1024 * 1024;

/// Takes the middle out of a log that is too long to keep. The hook has ended.
pub(super) fn trim(path: &Path) -> std::io::Result<()> {
    let size = fs_err::metadata(path)?.len();
    if size <= KEPT_HEAD + KEPT_TAIL {
        return Ok(());
    }
    let mut from = fs_err::File::open(path)?;
    let trimmed = path.with_extension("trimmed");
    let mut to = fs_err::File::create(&trimmed)?;
    std::io::copy(&mut (&mut from).take(KEPT_HEAD), &mut to)?;
    writeln!(to, "\n... {} bytes were left out here ...", size - KEPT_HEAD - KEPT_TAIL)?;
    from.seek(std::io::SeekFrom::Start(size - KEPT_TAIL))?;
    std::io::copy(&mut from, &mut to)?;
    // Windows replaces no file that is open.
    drop((from, to));
    fs_err::rename(&trimmed, path).inspect_err(|_error| drop(fs_err::remove_file(&trimmed)))
}

/// Cuts bytes into lines, at line feeds and at carriage returns (cargo's progress bar overwrites
/// itself with those).
#[derive(Debug, Default)]
struct Lines {
    pending: Vec<u8>,
}

impl Lines {
    fn push(&mut self, bytes: &[u8], sink: &mut dyn FnMut(&str)) {
        for piece in bytes.split_inclusive(|byte| matches!(byte, b'\n' | b'\r')) {
            self.pending.extend_from_slice(piece);
            let whole = matches!(self.pending.last(), Some(b'\n' | b'\r'));
            if whole || self.pending.len() >= LONGEST_LINE {
                if whole {
                    self.pending.pop();
                }
                if !self.pending.is_empty() || piece == b"\n" {
                    sink(&String::from_utf8_lossy(&self.pending));
                }
                self.pending.clear();
            }
        }
    }

    fn finish(&mut self, sink: &mut dyn FnMut(&str)) {
        if !self.pending.is_empty() {
            sink(&String::from_utf8_lossy(&self.pending));
            self.pending.clear();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cut(pieces: &[&[u8]]) -> Vec<String> {
        let mut lines = Lines::default();
        let mut found = Vec::new();
        for piece in pieces {
            lines.push(piece, &mut |line| found.push(line.to_owned()));
        }
        lines.finish(&mut |line| found.push(line.to_owned()));
        found
    }

    #[test]
    fn lines_end_at_either_end_and_survive_being_cut() {
        assert_eq!(
            cut(&[b"a\nb", b"c\n\n", b"10%\r20%\r\nlast"]),
            ["a", "bc", "", "10%", "20%", "", "last"]
        );
        assert_eq!(cut(&[b"\xff\xfe\n"]), ["\u{fffd}\u{fffd}"]);
    }

    #[test]
    fn a_long_log_keeps_its_beginning_and_its_end() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x.log");
        let mut text = b"first\n".to_vec();
        text.resize(17 * 1024 * 1024, b'x');
        text.extend(b"\nlast\n");
        fs_err::write(&path, &text).unwrap();
        trim(&path).unwrap();
        let kept = fs_err::read(&path).unwrap();
        assert!(kept.starts_with(b"first\n") && kept.ends_with(b"\nlast\n"));
        assert!(kept.len() < 16 * 1024 * 1024 + 200, "{}", kept.len());
        assert!(String::from_utf8_lossy(&kept).contains("bytes were left out here"));
        assert_eq!(fs_err::read_dir(dir.path()).unwrap().count(), 1);
        fs_err::write(&path, "short").unwrap();
        trim(&path).unwrap();
        assert_eq!(fs_err::read_to_string(&path).unwrap(), "short");
    }

    #[test]
    fn a_line_without_end_does_not_grow_memory() {
        let mut lines = Lines::default();
        let mut total = 0;
        for _ in 0..1000 {
            lines.push(&[b'x'; 1024], &mut |line| total += line.len());
            assert!(lines.pending.capacity() <= 4 * LONGEST_LINE);
        }
        lines.finish(&mut |line| total += line.len());
        assert_eq!(total, 1024 * 1000);
    }
}
