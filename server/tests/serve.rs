//! The registry as its callers start it: on a socket, with a beginning and an
//! end.

#![expect(
    clippy::unwrap_used,
    reason = "helpers of tests fail as loudly as the tests"
)]

use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use hythe_server::config::Sources;
use hythe_server::{Config, ServeError, Server};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::runtime::Runtime;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio::time::timeout;

const PATIENCE: Duration = Duration::from_secs(10);

/// A registry on a runtime of its own, so that all of it can end at once.
struct Running {
    runtime: Runtime,
    address: SocketAddr,
    stop: oneshot::Sender<()>,
    ended: JoinHandle<Result<(), ServeError>>,
}

fn config(data: &Path) -> Config {
    let flags = vec![
        ("listen", "127.0.0.1:0".to_owned()),
        ("data", data.display().to_string()),
        ("limits.header_timeout_seconds", "1".to_owned()),
        ("limits.shutdown_grace_seconds", "5".to_owned()),
    ];
    let sources = Sources { file: None, flags };
    Config::load_with(&sources, std::iter::empty()).unwrap()
}

async fn start(data: &Path) -> Running {
    let runtime = Runtime::new().unwrap();
    let binding = runtime.spawn(Server::bind(config(data)));
    let server = binding.await.unwrap().unwrap();
    let address = server.local_addr();
    let (stop, stopped) = oneshot::channel();
    let ended = runtime.spawn(server.run(async {
        stopped.await.ok();
    }));
    Running {
        runtime,
        address,
        stop,
        ended,
    }
}

impl Running {
    async fn connect(&self) -> TcpStream {
        TcpStream::connect(self.address).await.unwrap()
    }

    /// One request on a connection of its own; the whole answer.
    async fn ask(&self, head: &str, body: &str) -> String {
        let mut stream = self.connect().await;
        stream
            .write_all(request(head, body).as_bytes())
            .await
            .unwrap();
        rest(&mut stream).await
    }

    /// Ends without any farewell: every task stops where it is.
    async fn crash(self) {
        let runtime = self.runtime;
        tokio::task::spawn_blocking(move || runtime.shutdown_timeout(PATIENCE))
            .await
            .unwrap();
    }

    /// Ends what a test that needs no crash leaves running.
    fn leave(self) {
        self.runtime.shutdown_background();
    }
}

fn request(head: &str, body: &str) -> String {
    format!(
        "{head} HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    )
}

async fn rest(stream: &mut TcpStream) -> String {
    let mut answer = Vec::new();
    timeout(PATIENCE, stream.read_to_end(&mut answer))
        .await
        .unwrap()
        .unwrap();
    String::from_utf8(answer).unwrap()
}

fn location(answer: &str) -> String {
    let line = answer.lines().find(|line| line.starts_with("location: "));
    line.unwrap_or_else(|| panic!("{answer}"))["location: ".len()..].to_owned()
}

#[tokio::test]
async fn an_end_waits_for_what_is_under_way() {
    let data = tempfile::tempdir().unwrap();
    let server = start(data.path()).await;
    let at = location(&server.ask("POST /v2/a/blobs/uploads/", "").await);
    let mut slow = server.connect().await;
    let whole = request(&format!("PATCH {at}"), "slowly");
    let (first, last) = whole.split_at(whole.len() - 3);
    slow.write_all(first.as_bytes()).await.unwrap();
    // Answered on another connection, so the first one was accepted before.
    server.ask("GET /v2/", "").await;
    let address = server.address;
    server.stop.send(()).unwrap();
    while TcpStream::connect(address).await.is_ok() {
        tokio::task::yield_now().await;
    }
    slow.write_all(last.as_bytes()).await.unwrap();
    let answer = rest(&mut slow).await;
    assert!(answer.starts_with("HTTP/1.1 202"), "{answer}");
    let ended = timeout(PATIENCE, server.ended).await.unwrap();
    ended.unwrap().unwrap();
    server.runtime.shutdown_background();
}

#[tokio::test]
async fn a_head_that_never_ends_is_not_waited_for() {
    let data = tempfile::tempdir().unwrap();
    let server = start(data.path()).await;
    let mut slow = server.connect().await;
    slow.write_all(b"GET /v2/ HTTP/1.1\r\nhost:").await.unwrap();
    let answer = rest(&mut slow).await;
    assert!(
        answer.is_empty() || answer.starts_with("HTTP/1.1 408"),
        "{answer}"
    );
    server.leave();
}

#[tokio::test]
async fn what_was_answered_is_there_after_a_crash() {
    let data = tempfile::tempdir().unwrap();
    let server = start(data.path()).await;
    let at = location(&server.ask("POST /v2/a/blobs/uploads/", "").await);
    server.ask(&format!("PATCH {at}"), "kept ").await;
    // This one is not finished, and not answered.
    let mut broken = server.connect().await;
    let whole = request(&format!("PATCH {at}"), "never answered");
    let begun = &whole[..whole.len() - 5];
    broken.write_all(begun.as_bytes()).await.unwrap();
    server.crash().await;
    drop(broken);

    let server = start(data.path()).await;
    let status = server.ask(&format!("GET {at}"), "").await;
    assert!(status.starts_with("HTTP/1.1 204"), "{status}");
    let digest = "sha256:bd83d3d2c55e66d2ed1d6c1a10a2d9c5c08d9e26b2a9b5a05c8d5dbe2bcd4e4b";
    let wrong = server
        .ask(&format!("PUT {at}?digest={digest}"), "and more")
        .await;
    assert!(wrong.starts_with("HTTP/1.1 400"), "{wrong}");
    let staging = data.path().join("store/staging");
    assert_eq!(std::fs::read_dir(staging).unwrap().count(), 0);
    server.leave();
}

#[tokio::test]
async fn two_registries_do_not_serve_from_one_folder() {
    let data = tempfile::tempdir().unwrap();
    let first = start(data.path()).await;
    let second = Server::bind(config(data.path())).await;
    assert!(matches!(second, Err(ServeError::Store(_))), "{second:?}");
    first.leave();
}
