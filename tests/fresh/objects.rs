//! A store that machines share, on the loopback interface: as much of `WebDAV` as is asked of it, and
//! what can go wrong.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// What goes wrong with requests whose first line has a text in it.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Fault {
    /// A status, with `Retry-After: 1`.
    Status(u16),
    /// The status, for so many requests; then all is well.
    StatusAtFirst(u16, usize),
    /// The connection ends in the middle of the body.
    Cut,
    /// 2 KiB in a second.
    Slow,
    /// No answer at all.
    Silent,
    /// One bit of the body is another.
    Flipped,
}

#[derive(Debug, Default)]
struct State {
    objects: BTreeMap<String, Vec<u8>>,
    requests: Vec<String>,
    fault: Option<(String, Fault)>,
}

#[derive(Debug, Clone)]
pub(crate) struct Objects {
    port: u16,
    state: Arc<Mutex<State>>,
}

impl Objects {
    pub(crate) fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let objects = Self { port: listener.local_addr().unwrap().port(), state: Arc::default() };
        let state = Arc::clone(&objects.state);
        // The threads end with the test's process.
        std::thread::spawn(move || {
            for stream in listener.incoming().filter_map(Result::ok) {
                let state = Arc::clone(&state);
                // A client that has gone away has what it wanted.
                std::thread::spawn(move || serve(&stream, &state));
            }
        });
        objects
    }

    pub(crate) fn url(&self) -> String {
        format!("http://user:hunter2@127.0.0.1:{}/ci", self.port)
    }

    /// From now on; the text is a part of `GET /ci/v1/blobs/...`.
    pub(crate) fn fail(&self, requests: &str, fault: Fault) {
        self.state.lock().unwrap().fault = Some((requests.to_owned(), fault));
    }

    pub(crate) fn work_again(&self) {
        self.state.lock().unwrap().fault = None;
    }

    /// The requests since the last call, as `GET /ci/...`.
    pub(crate) fn requests(&self) -> Vec<String> {
        std::mem::take(&mut self.state.lock().unwrap().requests)
    }

    /// Changes all objects whose names have a text in them.
    pub(crate) fn change(&self, name: &str, change: impl Fn(&mut Vec<u8>)) -> usize {
        let mut state = self.state.lock().unwrap();
        let found = state.objects.iter_mut().filter(|(path, _)| path.contains(name));
        found.map(|(_, content)| change(content)).count()
    }

    pub(crate) fn remove(&self, name: &str) {
        self.state.lock().unwrap().objects.retain(|path, _| !path.contains(name));
    }
}

fn serve(stream: &TcpStream, state: &Mutex<State>) -> std::io::Result<()> {
    let mut reader = BufReader::new(stream);
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line)? == 0 {
            return Ok(());
        }
        let words: Vec<&str> = line.split(' ').collect();
        let [method, path, _] = words[..] else { return Ok(()) };
        let (method, path) = (method.to_owned(), path.to_owned());
        let (mut length, mut authorization) = (0, String::new());
        loop {
            let mut header = String::new();
            reader.read_line(&mut header)?;
            let Some((name, value)) = header.trim_end().split_once(": ") else { break };
            match name.to_ascii_lowercase().as_str() {
                "content-length" => length = value.parse().unwrap_or(0),
                "authorization" => value.clone_into(&mut authorization),
                _ => {}
            }
        }
        let mut body = vec![0; length];
        reader.read_exact(&mut body)?;
        let request = format!("{method} {path}");
        let (fault, mut status, mut content) = {
            let mut state = state.lock().unwrap();
            state.requests.push(request.clone());
            let fault = match &mut state.fault {
                Some((_, Fault::StatusAtFirst(_, 0))) => None,
                Some((text, fault)) if request.contains(text.as_str()) => {
                    let now = *fault;
                    if let Fault::StatusAtFirst(_, times) = fault {
                        *times -= 1;
                    }
                    Some(now)
                }
                _ => None,
            };
            let fails = matches!(fault, Some(Fault::Status(_) | Fault::StatusAtFirst(..)));
            let (status, content) = if authorization.is_empty() {
                (401, Vec::new())
            } else if fails {
                (0, Vec::new())
            } else {
                answer(&method, &path, body, &mut state.objects)
            };
            (fault, status, content)
        };
        let mut stream = stream;
        match fault {
            Some(Fault::Status(code) | Fault::StatusAtFirst(code, _)) => status = code,
            Some(Fault::Flipped) => {
                let at = content.len() / 2;
                content.iter_mut().skip(at).take(1).for_each(|byte| *byte ^= 1);
            }
            Some(Fault::Silent) => {
                std::thread::sleep(Duration::from_secs(60));
                return Ok(());
            }
            _ => {}
        }
        write!(
            stream,
            "HTTP/1.1 {status} X\r\nContent-Length: {}\r\nRetry-After: 1\r\nLast-Modified: Tue, 01 Dec 2026 00:00:00 GMT\r\n\r\n",
            content.len()
        )?;
        if method == "HEAD" {
            continue;
        }
        match fault {
            Some(Fault::Cut) => return stream.write_all(&content[..content.len() / 2]),
            Some(Fault::Slow) => {
                for part in content.chunks(256) {
                    stream.write_all(part)?;
                    stream.flush()?;
                    std::thread::sleep(Duration::from_millis(125));
                }
            }
            _ => stream.write_all(&content)?,
        }
    }
}

fn answer(
    method: &str,
    path: &str,
    body: Vec<u8>,
    objects: &mut BTreeMap<String, Vec<u8>>,
) -> (u16, Vec<u8>) {
    match method {
        "PUT" => {
            objects.insert(path.to_owned(), body);
            (201, Vec::new())
        }
        "GET" | "HEAD" => match objects.get(path) {
            Some(content) => (200, content.clone()),
            None => (404, Vec::new()),
        },
        "PROPFIND" => (207, listing(path, objects)),
        "MKCOL" => (201, Vec::new()),
        _ => (405, Vec::new()),
    }
}

/// <https://www.rfc-editor.org/rfc/rfc4918#section-9.1>
fn listing(path: &str, objects: &BTreeMap<String, Vec<u8>>) -> Vec<u8> {
    use std::fmt::Write as _;
    let mut text = String::from(r#"<?xml version="1.0"?><D:multistatus xmlns:D="DAV:">"#);
    let folder = format!("{}/", path.trim_end_matches('/'));
    for (name, content) in objects.iter().filter(|(name, _)| name.starts_with(&folder)) {
        let _ = write!(
            text,
            "<D:response><D:href>{name}</D:href><D:propstat><D:prop><D:getlastmodified>Tue, 01 Dec 2026 00:00:00 GMT</D:getlastmodified>\
                <D:getcontentlength>{}</D:getcontentlength><D:resourcetype/></D:prop><D:status>HTTP/1.1 200 OK</D:status></D:propstat></D:response>",
            content.len()
        );
    }
    (text + "</D:multistatus>").into_bytes()
}
