//! The step summary: Markdown on the run's page, one file for each step, at most 1 MiB.
//!
//! More than that and the runner throws all of it away, so what matters comes first and what does
//! not fit is left out, folded parts from the last on. Source: <https://docs.github.com/en/actions/reference/workflows-and-actions/workflow-commands#step-isolation-and-limits>

use std::fmt::Write as _;
use std::io::Write as _;
use std::path::PathBuf;

use crate::env_vars;

/// Of the whole file, which other programs of the step may have begun.
const LIMIT_BYTES: u64 = 1024 * 1024;
const LEFT_OUT: &str = "\n*The step summary is cut off here; see the log for the rest.*\n";

/// A summary being written.
#[derive(Debug, Default)]
pub(crate) struct Summary {
    head: String,
    folded: Vec<String>,
}

impl Summary {
    /// Markdown that is always shown.
    pub(crate) fn push(&mut self, markdown: &str) {
        self.head.push_str(markdown);
        self.head.push_str("\n\n");
    }

    /// Markdown that is shown when one asks for it.
    pub(crate) fn fold(&mut self, title: &str, markdown: &str) {
        self.folded.push(format!(
            "<details><summary>{}</summary>\n\n{}\n\n</details>\n\n",
            text(title),
            markdown.trim_end()
        ));
    }

    /// What fits into so many bytes.
    pub(crate) fn render(&self, room_bytes: usize) -> String {
        let mut room = room_bytes.saturating_sub(LEFT_OUT.len());
        let mut markdown = String::new();
        let mut is_whole = true;
        for line in self.head.split_inclusive('\n').chain(self.folded.iter().map(String::as_str)) {
            if line.len() > room {
                is_whole = false;
                break;
            }
            room -= line.len();
            markdown.push_str(line);
        }
        if !is_whole && room_bytes >= LEFT_OUT.len() {
            markdown.push_str(LEFT_OUT);
        }
        markdown
    }

    /// Appends it to the file that `GITHUB_STEP_SUMMARY` names; nothing without one (GHES before
    /// 3.6).
    pub(crate) fn write(&self) -> std::io::Result<()> {
        let Some(path) = env_vars::get_os("GITHUB_STEP_SUMMARY").map(PathBuf::from) else {
            return Ok(());
        };
        let mut file = fs_err::OpenOptions::new().append(true).create(true).open(path)?;
        let room = LIMIT_BYTES.saturating_sub(file.metadata()?.len());
        file.write_all(self.render(usize::try_from(room).unwrap_or(usize::MAX)).as_bytes())
    }
}

/// A Markdown table.
pub(crate) fn table(header: &[&str], rows: &[Vec<String>]) -> String {
    let mut markdown = format!("| {} |\n|{}\n", header.join(" | "), " --- |".repeat(header.len()));
    for row in rows {
        let _ = writeln!(markdown, "| {} |", row.join(" | "));
    }
    markdown
}

/// Somebody's text, as text: no markup, no links, no mentions, no further cells.
pub(crate) fn text(raw: &str) -> String {
    let mut markdown = String::with_capacity(raw.len());
    for c in raw.chars() {
        match c {
            '&' => markdown.push_str("&amp;"),
            '<' => markdown.push_str("&lt;"),
            '>' => markdown.push_str("&gt;"),
            // Markdown's own characters, and what makes a mention or a link of a word.
            '\\' | '`' | '*' | '_' | '[' | ']' | '|' | '~' | '#' | '@' | '!' | '$' => {
                let _ = write!(markdown, "&#{};", c as u32);
            }
            c if c.is_control() => markdown.push(' '),
            c => markdown.push(c),
        }
    }
    // Addresses would become links by themselves.
    markdown.replace("://", "&#58;//").replace("www.", "www&#46;")
}

/// [`text`], set as code.
pub(crate) fn code(raw: &str) -> String {
    format!("<code>{}</code>", text(raw))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_others_wrote_stays_text_in_one_cell() {
        let evil = "a|b\n| c |<img src=x>[x](https://e.vil) @all `id` **b** $x$";
        let table = table(&["crate", "why"], &[vec![code("pyo3"), text(evil)]]);
        assert_eq!(
            table,
            "| crate | why |\n| --- | --- |\n| <code>pyo3</code> | a&#124;b &#124; c &#124;&lt;img src=x&gt;&#91;x&#93;(https&#58;//e.vil) \
             &#64;all &#96;id&#96; &#42;&#42;b&#42;&#42; &#36;x&#36; |\n"
        );
    }

    #[test]
    fn what_does_not_fit_is_left_out_from_the_end() {
        let mut summary = Summary::default();
        summary.push("### verdict");
        summary.fold("one", "x");
        summary.fold("two", &"y".repeat(10_000));
        let whole = summary.render(1 << 20);
        assert!(
            whole.starts_with(
                "### verdict\n\n<details><summary>one</summary>\n\nx\n\n</details>\n\n"
            ) && whole.len() > 10_000
        );
        let short = summary.render(1000);
        assert_eq!(
            short,
            format!(
                "### verdict\n\n<details><summary>one</summary>\n\nx\n\n</details>\n\n{LEFT_OUT}"
            )
        );
        for room in 0..200 {
            assert!(summary.render(room).len() <= room, "{room}");
        }
    }
}
