//! Takes whatever is posted to it, on a host of the test, and keeps it.

use std::io::{self, Read as _, Write as _};
use std::net::TcpStream;
use std::sync::{Arc, Mutex, PoisonError};

use crate::Host;
use crate::faults::{content_length, read_head, serve_on};

/// A collector of anything.
#[derive(Debug)]
pub struct Sink {
    port: u16,
    posts: Arc<Mutex<Vec<Post>>>,
}

/// One request.
#[derive(Clone, Debug)]
pub struct Post {
    /// `POST /path HTTP/1.1`.
    pub line: String,
    pub body: Vec<u8>,
}

impl Sink {
    pub fn on(host: &Host, port: u16) -> Self {
        let posts = Arc::new(Mutex::new(Vec::new()));
        let keep = Arc::clone(&posts);
        serve_on(host, port, move |connection| {
            let taken = take(connection, |post| {
                let mut kept = keep.lock().unwrap_or_else(PoisonError::into_inner);
                kept.push(post);
            });
            // A client may leave when it likes.
            drop(taken);
        });
        Self { port, posts }
    }

    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// Everything that came so far.
    pub fn posts(&self) -> Vec<Post> {
        let kept = self.posts.lock().unwrap_or_else(PoisonError::into_inner);
        kept.clone()
    }
}

fn take(mut client: TcpStream, keep: impl Fn(Post)) -> io::Result<()> {
    while let Some((head, mut body)) = read_head(&mut client)? {
        let mut rest = vec![0; content_length(&head).saturating_sub(body.len())];
        client.read_exact(&mut rest)?;
        body.extend(rest);
        keep(Post {
            line: head.lines().next().unwrap_or_default().to_owned(),
            body,
        });
        client.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n")?;
    }
    Ok(())
}
