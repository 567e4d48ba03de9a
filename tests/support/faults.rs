//! Stands before a server, on a host of the test, and makes its answers go wrong.

use std::fs::File;
use std::io::{self, Read as _, Write as _};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc;

use nix::sched::{CloneFlags, setns};

use crate::Host;

/// A proxy for HTTP, one request per connection.
#[derive(Debug)]
pub struct Faults {
    port: u16,
    state: Arc<State>,
}

#[derive(Debug)]
struct State {
    upstream: String,
    /// One request in so many goes wrong; 0 is none, 1 is all.
    one_in: AtomicU64,
    requests: AtomicU64,
    spoiled: AtomicU64,
    silent: AtomicBool,
}

/// How an answer goes wrong.
#[derive(Clone, Copy)]
enum Fault {
    /// As an object store asks for patience.
    SlowDown,
    /// The connection breaks before the request is passed on.
    CutRequest,
    /// The request is carried out, and the connection breaks in the answer.
    CutAnswer,
}

impl Faults {
    /// Takes a port on `host` and passes everything on to `upstream` there.
    pub fn before(host: &Host, port: u16, upstream: &str) -> Self {
        let state = Arc::new(State {
            upstream: upstream.to_owned(),
            one_in: AtomicU64::new(0),
            requests: AtomicU64::new(0),
            spoiled: AtomicU64::new(0),
            silent: AtomicBool::new(false),
        });
        let passing = Arc::clone(&state);
        serve_on(host, port, move |connection| {
            // A client or server that breaks a connection off is why we are here.
            let _broken = passing.pass_on(connection);
        });
        Self { port, state }
    }

    pub fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// From now on one request in `n` goes wrong; 0 is none, 1 is all: it is gone.
    pub fn spoil_one_in(&self, n: u64) {
        self.state.one_in.store(n, Ordering::SeqCst);
    }

    /// From now on requests are taken and never answered.
    pub fn fall_silent(&self, silent: bool) {
        self.state.silent.store(silent, Ordering::SeqCst);
    }

    /// How many went wrong.
    pub fn spoiled(&self) -> u64 {
        self.state.spoiled.load(Ordering::SeqCst)
    }
}

impl State {
    fn pass_on(&self, mut client: TcpStream) -> io::Result<()> {
        let Some((head, mut body)) = read_head(&mut client)? else {
            return Ok(());
        };
        if self.silent.load(Ordering::SeqCst) {
            // Until the other side gives up.
            return io::copy(&mut client, &mut io::sink()).map(drop);
        }
        let fault = self.next_fault();
        if matches!(fault, Some(Fault::CutRequest)) {
            return client.shutdown(Shutdown::Both);
        }
        let length = content_length(&head);
        let mut rest = vec![0; length.saturating_sub(body.len())];
        client.read_exact(&mut rest)?;
        body.extend(rest);
        if matches!(fault, Some(Fault::SlowDown)) {
            let answer = "HTTP/1.1 503 Slow Down\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";
            return client.write_all(answer.as_bytes());
        }
        let mut server = TcpStream::connect(&self.upstream)?;
        server.write_all(closing(&head).as_bytes())?;
        server.write_all(&body)?;
        if matches!(fault, Some(Fault::CutAnswer)) {
            let mut answer = Vec::new();
            server.read_to_end(&mut answer)?;
            client.write_all(&answer[..answer.len() / 2])?;
            return client.shutdown(Shutdown::Both);
        }
        io::copy(&mut server, &mut client)?;
        Ok(())
    }

    fn next_fault(&self) -> Option<Fault> {
        let one_in = self.one_in.load(Ordering::SeqCst);
        let number = self.requests.fetch_add(1, Ordering::SeqCst);
        if one_in == 0 || !number.is_multiple_of(one_in) {
            return None;
        }
        let kinds = [Fault::SlowDown, Fault::CutRequest, Fault::CutAnswer];
        // A server that is gone gives no half answers.
        let kinds = if one_in == 1 { &kinds[..2] } else { &kinds[..] };
        let spoiled = self.spoiled.fetch_add(1, Ordering::SeqCst);
        let kind = usize::try_from(spoiled).unwrap_or_default() % kinds.len();
        Some(kinds[kind])
    }
}

/// Takes connections on a port of `host`, each on a thread of its own, until the test's process
/// ends.
pub(crate) fn serve_on(host: &Host, port: u16, serve: impl Fn(TcpStream) + Clone + Send + 'static) {
    let namespace = File::open(format!("/run/netns/{}", host.name())).expect("the namespace");
    let (ready, bound) = mpsc::channel();
    // The threads that this one starts are on the host as well.
    std::thread::spawn(move || {
        setns(namespace, CloneFlags::CLONE_NEWNET).expect("it can be entered");
        let listener = TcpListener::bind(("127.0.0.1", port)).expect("the port is free");
        ready.send(()).expect("somebody waits for it");
        for connection in listener.incoming().flatten() {
            let serve = serve.clone();
            std::thread::spawn(move || serve(connection));
        }
    });
    bound.recv().expect("it starts");
}

/// The head up to its empty line, and what came of the body; `None` at the end.
pub(crate) fn read_head(client: &mut TcpStream) -> io::Result<Option<(String, Vec<u8>)>> {
    let mut bytes = Vec::new();
    let mut buffer = [0; 16 * 1024];
    loop {
        if let Some(end) = bytes.windows(4).position(|window| window == b"\r\n\r\n") {
            let body = bytes.split_off(end + 4);
            return Ok(Some((String::from_utf8_lossy(&bytes).into_owned(), body)));
        }
        match client.read(&mut buffer)? {
            0 => return Ok(None),
            n => bytes.extend(&buffer[..n]),
        }
    }
}

pub(crate) fn content_length(head: &str) -> usize {
    let header = |line: &str| {
        let (name, value) = line.split_once(':')?;
        let length = name.eq_ignore_ascii_case("content-length");
        length.then(|| value.trim().parse().ok()).flatten()
    };
    head.lines().find_map(header).unwrap_or(0)
}

/// The head, asking for the connection to be closed after the answer.
fn closing(head: &str) -> String {
    let lines = head.trim_end().lines();
    let kept: Vec<&str> = lines
        .filter(|line| !line.to_ascii_lowercase().starts_with("connection:"))
        .collect();
    format!("{}\r\nconnection: close\r\n\r\n", kept.join("\r\n"))
}
