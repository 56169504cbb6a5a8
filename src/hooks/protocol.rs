//! The lines that hookd and we exchange. Pure text; no process here. `hookd/README.md` is the
//! contract:
#![doc = include_str!("../../hookd/README.md")]

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD as BASE64;

/// A line from hookd.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Message {
    Ready,
    /// The next line hookd reads is the value of this name.
    Expect(String),
    Debug(String),
    /// The file that gets the hook's stdout.
    Stdout(String),
    Stderr(String),
    /// A piece of the hook's output; 1 is stdout, 2 is stderr.
    Output {
        stream: u8,
        text: String,
    },
    /// A piece of what is being fetched.
    Data(Vec<u8>),
    /// The process group of the running hook.
    Child(i32),
    /// The hook's return value, as JSON.
    Ok(String),
    Error {
        kind: String,
        text: String,
    },
    Fatal {
        kind: String,
        text: String,
    },
    Traceback(String),
    Shutdown,
    /// From a newer hookd; to be ignored.
    Unknown(String),
}

impl Message {
    /// Parses a line, without its end. Never fails: what is not understood is [`Message::Unknown`].
    pub(crate) fn parse(line: &str) -> Self {
        let (word, rest) = line.split_once(' ').unwrap_or((line, ""));
        let kind_and_text = || {
            let (kind, text) = rest.split_once(' ').unwrap_or((rest, ""));
            (kind.to_owned(), unescape(text))
        };
        match word {
            "READY" => Self::Ready,
            "EXPECT" => Self::Expect(rest.to_owned()),
            "DEBUG" => Self::Debug(unescape(rest)),
            "STDOUT" => Self::Stdout(unescape(rest)),
            "STDERR" => Self::Stderr(unescape(rest)),
            "OK" => Self::Ok(unescape(rest)),
            "ERROR" => {
                let (kind, text) = kind_and_text();
                Self::Error { kind, text }
            }
            "FATAL" => {
                let (kind, text) = kind_and_text();
                Self::Fatal { kind, text }
            }
            "TRACEBACK" => Self::Traceback(unescape(rest)),
            "SHUTDOWN" => Self::Shutdown,
            "CHILD" => rest.parse().map_or_else(|_| Self::Unknown(line.to_owned()), Self::Child),
            "DATA" => {
                BASE64.decode(rest).map_or_else(|_| Self::Unknown(line.to_owned()), Self::Data)
            }
            "OUTPUT" => match rest.split_once(' ').unwrap_or((rest, "")) {
                ("1", text) => Self::Output { stream: 1, text: unescape(text) },
                ("2", text) => Self::Output { stream: 2, text: unescape(text) },
                _ => Self::Unknown(line.to_owned()),
            },
            _ => Self::Unknown(line.to_owned()),
        }
    }
}

/// Makes a value fit on a line.
pub(crate) fn escape(value: &str) -> String {
    value.replace('\\', "\\\\").replace('\n', "\\n").replace('\r', "\\r")
}

/// Undoes [`escape`]. A backslash before any other character stands for itself.
pub(crate) fn unescape(text: &str) -> String {
    let mut value = String::with_capacity(text.len());
    let mut rest = text.chars();
    while let Some(c) = rest.next() {
        if c != '\\' {
            value.push(c);
            continue;
        }
        match rest.next() {
            Some('n') => value.push('\n'),
            Some('r') => value.push('\r'),
            Some('\\') | None => value.push('\\'),
            Some(other) => value.extend(['\\', other]),
        }
    }
    value
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_value_survives_a_round_trip() {
        for value in ["", "plain", "a\nb\rc\\", "\\n", "\\\\n\n", "é \u{1F980}\n", "\\"] {
            let line = escape(value);
            assert!(!line.contains(['\n', '\r']), "{line:?}");
            assert_eq!(unescape(&line), value);
        }
    }

    #[test]
    fn reads_every_message() {
        assert_eq!(Message::parse("READY"), Message::Ready);
        assert_eq!(Message::parse("EXPECT action"), Message::Expect("action".into()));
        assert_eq!(Message::parse(r#"OK ["a\\nb"]"#), Message::Ok(r#"["a\nb"]"#.into()));
        assert_eq!(
            Message::parse("ERROR HookRuntimeError it\\nfailed"),
            Message::Error { kind: "HookRuntimeError".into(), text: "it\nfailed".into() }
        );
        assert_eq!(
            Message::parse("FATAL X"),
            Message::Fatal { kind: "X".into(), text: String::new() }
        );
        assert_eq!(Message::parse("CHILD 12"), Message::Child(12));
        assert_eq!(Message::parse("CHILD x"), Message::Unknown("CHILD x".into()));
        assert_eq!(
            Message::parse("OUTPUT 2 a\\n"),
            Message::Output { stream: 2, text: "a\n".into() }
        );
        assert_eq!(Message::parse("DATA aGk="), Message::Data(b"hi".to_vec()));
        assert_eq!(Message::parse("DATA ?"), Message::Unknown("DATA ?".into()));
        assert_eq!(Message::parse("LATER x"), Message::Unknown("LATER x".into()));
    }
}
