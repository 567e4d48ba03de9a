//! Running another program to its end.

use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, Read as _, Seek as _, Write as _};
use std::os::fd::AsFd;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Output, Stdio};
use std::time::Duration;

use tokio::io::AsyncWriteExt as _;
use tokio::process::Command;

use super::events::wait_for_end_within;
use super::executable::memory_file;
use super::netns::in_netns;
use super::process::open_pidfd;

/// What a program left behind.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finished {
    pub success: bool,
    pub stdout: String,
    pub stderr: String,
}

/// Runs `program` with `input` on its standard input and waits for its end.
///
/// The program is killed when the returned future is dropped. Fails only when it cannot be
/// started; how it ended is in [`Finished`].
pub async fn run<A: AsRef<OsStr>>(program: &str, args: &[A], input: &str) -> io::Result<Finished> {
    let mut child = Command::new(program)
        .args(args)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()?;
    let stdin = child.stdin.take();
    let feed = async {
        if let Some(mut stdin) = stdin {
            // A program that ends before it has read everything says why on stderr.
            drop(stdin.write_all(input.as_bytes()).await);
        }
    };
    let ((), output) = tokio::join!(feed, child.wait_with_output());
    output.map(Finished::from)
}

/// A program with all that it is given.
#[derive(Debug, Clone, Copy)]
pub struct Call<'a> {
    pub program: &'a Path,
    /// What it sees as its arguments, its own name included.
    pub args: &'a [String],
    /// `NAME=VALUE`, and nothing else.
    pub env: &'a [String],
    pub input: &'a [u8],
    /// It is killed when it takes longer.
    pub limit: Option<Duration>,
}

/// Runs a program to its end, without a runtime. `None` when it took too long.
pub fn run_blocking(call: Call<'_>) -> io::Result<Option<Finished>> {
    let mut complaints = File::from(memory_file("complaints")?);
    let mut command = std::process::Command::new(call.program);
    if let Some((name, rest)) = call.args.split_first() {
        command.arg0(name).args(rest);
    }
    let pairs = call.env.iter().filter_map(|pair| pair.split_once('='));
    let mut child = command
        .env_clear()
        .envs(pairs)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        // A file and no pipe: what it leaves running must not keep us here.
        .stderr(complaints.try_clone()?)
        .spawn()?;
    if let Some(mut stdin) = child.stdin.take() {
        // A program that ends before it has read everything says why on stderr.
        drop(stdin.write_all(call.input));
    }
    if let Some(limit) = call.limit {
        let pidfd = open_pidfd(i32::try_from(child.id()).unwrap_or_default())?;
        if !wait_for_end_within(pidfd.as_fd(), limit)? {
            child.kill()?;
            child.wait()?;
            return Ok(None);
        }
    }
    let status = child.wait()?;
    complaints.rewind()?;
    let mut stderr = Vec::new();
    complaints.read_to_end(&mut stderr)?;
    Ok(Some(Finished::from(Output {
        status,
        stdout: Vec::new(),
        stderr,
    })))
}

/// Like [`run`], in another network namespace.
///
/// A child has the namespaces of the thread that made it, so a short-lived thread makes this one.
pub async fn run_in_netns<N>(
    netns: N,
    program: &'static str,
    args: &'static [&'static str],
    input: String,
) -> io::Result<Finished>
where
    N: AsFd + Send + 'static,
{
    in_netns(netns, move || {
        let mut child = std::process::Command::new(program)
            .args(args)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()?;
        if let Some(mut stdin) = child.stdin.take() {
            // A program that ends before it has read everything says why on stderr.
            drop(stdin.write_all(input.as_bytes()));
        }
        child.wait_with_output()
    })
    .await
    .map(Finished::from)
}

impl From<Output> for Finished {
    fn from(output: Output) -> Self {
        Self {
            success: output.status.success(),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }
}
