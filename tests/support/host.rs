//! A machine of the test: a network namespace with a loopback device.

use std::collections::HashMap;
use std::process::Command;

use crate::CommandExt as _;

/// A network namespace that goes away with the test.
#[derive(Debug)]
pub struct Host {
    name: String,
}

/// An answer that curl got.
#[derive(Debug)]
pub struct Response {
    pub status: u16,
    /// Names in lower case.
    pub headers: HashMap<String, String>,
    pub body: Vec<u8>,
}

impl Response {
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    #[track_caller]
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }
}

impl Default for Host {
    fn default() -> Self {
        Self::new()
    }
}

impl Host {
    /// Needs root: a test that cannot have a namespace fails, it never passes silently.
    pub fn new() -> Self {
        let name = format!("hythe-test-{:08x}", rand::random::<u32>());
        Command::new("ip")
            .args(["netns", "add", &name])
            .finish()
            .ok();
        let host = Self { name };
        host.command("ip")
            .args(["link", "set", "lo", "up"])
            .finish()
            .ok();
        host
    }

    pub fn name(&self) -> &str {
        &self.name
    }

    /// A program that sees this host's network, and everything else of the real machine.
    pub fn command(&self, program: impl AsRef<std::ffi::OsStr>) -> Command {
        let mut command = Command::new("nsenter");
        command
            .arg(format!("--net=/run/netns/{}", self.name))
            .arg("--")
            .arg(program);
        command
    }

    /// Joins two hosts with a cable; `mine` and `theirs` are addresses such as `10.9.0.1/24`.
    pub fn link(&self, mine: &str, other: &Self, theirs: &str) {
        let [a, b] =
            ["a", "b"].map(|end| format!("hv{:06x}{end}", rand::random::<u32>() & 0xff_ffff));
        Command::new("ip")
            .args(["link", "add", &a, "netns", &self.name, "type", "veth"])
            .args(["peer", "name", &b, "netns", &other.name])
            .finish()
            .ok();
        for (host, device, address) in [(self, &a, mine), (other, &b, theirs)] {
            host.command("ip")
                .args(["address", "add", address, "dev", device])
                .finish()
                .ok();
            host.command("ip")
                .args(["link", "set", device, "up"])
                .finish()
                .ok();
        }
    }

    /// One HTTP request with curl from this host; `options` are curl's own.
    #[track_caller]
    pub fn curl(&self, options: &[&str]) -> Response {
        let run = self
            .command("curl")
            .args(["--silent", "--show-error", "--include", "--max-time", "60"])
            // Interim answers would stand before the one that counts.
            .args(["--header", "Expect:", "--noproxy", "*"])
            .args(options)
            .finish()
            .ok();
        parse_response(&run.stdout)
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        Command::new("ip")
            .args(["netns", "delete", &self.name])
            .finish();
    }
}

fn parse_response(bytes: &[u8]) -> Response {
    let end = bytes
        .windows(4)
        .position(|window| window == b"\r\n\r\n")
        .expect("a header block");
    let head = String::from_utf8_lossy(&bytes[..end]).into_owned();
    let mut lines = head.lines();
    let status = lines
        .next()
        .and_then(|line| line.split(' ').nth(1))
        .expect("a status line");
    let headers = lines
        .filter_map(|line| line.split_once(':'))
        .map(|(name, value)| (name.to_ascii_lowercase(), value.trim().to_owned()))
        .collect();
    Response {
        status: status.parse().expect("a numeric status"),
        headers,
        body: bytes[end + 4..].to_vec(),
    }
}
