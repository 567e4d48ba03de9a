//! Running another program to its end.

use std::ffi::OsStr;
use std::io::{self, Write as _};
use std::os::fd::AsFd;
use std::process::{Output, Stdio};

use tokio::io::AsyncWriteExt as _;
use tokio::process::Command;

use super::netns::in_netns;

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
