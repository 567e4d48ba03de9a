//! HTTP/1.1 over one connection that stays, for tests that ask more often than curl could start.

use std::fs::File;
use std::io::{self, BufRead as _, BufReader, Read as _};
use std::net::TcpStream;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use nix::sched::{CloneFlags, setns};

use crate::Response;

/// A connection to a server.
#[derive(Debug)]
pub struct Connection<S = TcpStream> {
    stream: BufReader<S>,
}

impl Connection<UnixStream> {
    pub fn open_socket(path: &Path) -> io::Result<Self> {
        let stream = UnixStream::connect(path)?;
        stream.set_read_timeout(Some(Duration::from_mins(1)))?;
        Ok(Self {
            stream: BufReader::new(stream),
        })
    }
}

impl Connection {
    /// Connects from inside the host `host_name`. The calling thread stays there: a test starts
    /// one thread for this.
    pub fn open(host_name: &str, address: &str) -> io::Result<Self> {
        let namespace = File::open(format!("/run/netns/{host_name}"))?;
        setns(namespace, CloneFlags::CLONE_NEWNET)?;
        let stream = TcpStream::connect(address)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(Duration::from_mins(1)))?;
        Ok(Self {
            stream: BufReader::new(stream),
        })
    }
}

impl<S: io::Read + io::Write> Connection<S> {
    /// One request and its answer; fails when the server goes away before the answer is whole.
    pub fn ask(
        &mut self,
        method: &str,
        path: &str,
        headers: &[&str],
        body: &[u8],
    ) -> io::Result<Response> {
        let length = format!("content-length: {}", body.len());
        let first = format!("{method} {path} HTTP/1.1");
        let head: Vec<&str> = [first.as_str(), "host: test", &length]
            .into_iter()
            .chain(headers.iter().copied())
            .collect();
        let mut request = head.join("\r\n").into_bytes();
        request.extend_from_slice(b"\r\n\r\n");
        request.extend_from_slice(body);
        self.stream.get_mut().write_all(&request)?;
        self.answer(method == "HEAD")
    }

    fn answer(&mut self, without_body: bool) -> io::Result<Response> {
        let status = self.line()?;
        let status = status.split(' ').nth(1).and_then(|code| code.parse().ok());
        let status = status.ok_or_else(|| io::Error::other("not a status line"))?;
        let mut response = Response {
            status,
            headers: std::collections::HashMap::new(),
            body: Vec::new(),
        };
        loop {
            let line = self.line()?;
            let Some((name, value)) = line.split_once(':') else {
                break;
            };
            let name = name.to_ascii_lowercase();
            response.headers.insert(name, value.trim().to_owned());
        }
        let length = response.headers.get("content-length");
        let length: usize = length.map_or(Ok(0), |text| text.parse().map_err(io::Error::other))?;
        if !without_body {
            response.body.resize(length, 0);
            self.stream.read_exact(&mut response.body)?;
        }
        Ok(response)
    }

    fn line(&mut self) -> io::Result<String> {
        let mut line = String::new();
        self.stream.read_line(&mut line)?;
        if line.ends_with('\n') {
            Ok(line.trim_end().to_owned())
        } else {
            Err(io::ErrorKind::UnexpectedEof.into())
        }
    }
}
