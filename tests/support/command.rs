//! Running programs and keeping everything they said for the message of a failed test.

use std::fmt;
use std::io::Write as _;
use std::process::{Command, Stdio};

/// A program that has ended.
#[derive(Clone)]
pub struct Finished {
    pub line: String,
    /// Exit status, or 128 + signal.
    pub code: i32,
    pub stdout: Vec<u8>,
    pub stderr: Vec<u8>,
}

impl Finished {
    /// Standard output as text, without the line end.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.stdout).trim_end().to_owned()
    }

    pub fn error_text(&self) -> String {
        String::from_utf8_lossy(&self.stderr).trim_end().to_owned()
    }

    pub fn lines(&self) -> Vec<String> {
        self.text().lines().map(str::to_owned).collect()
    }

    #[track_caller]
    pub fn ok(self) -> Self {
        assert!(self.code == 0, "{self:?}");
        self
    }

    #[track_caller]
    pub fn fails_with(self, code: i32) -> Self {
        assert!(self.code == code, "expected exit code {code}: {self:?}");
        self
    }

    /// The program failed and what it said holds `words`.
    #[track_caller]
    pub fn fails_saying(self, words: &str) -> Self {
        let said = format!("{}{}", self.text(), self.error_text());
        assert!(self.code != 0, "expected a failure: {self:?}");
        assert!(said.contains(words), "expected {words:?} in: {self:?}");
        self
    }
}

impl fmt::Debug for Finished {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let clip = |bytes: &[u8]| -> String {
            let text = String::from_utf8_lossy(bytes);
            text.chars().take(8000).collect()
        };
        writeln!(f, "$ {}", self.line)?;
        writeln!(f, "exit code {}", self.code)?;
        writeln!(f, "--- stdout\n{}", clip(&self.stdout))?;
        writeln!(f, "--- stderr\n{}", clip(&self.stderr))
    }
}

/// Verbs on [`Command`] that tests use.
pub trait CommandExt {
    /// Runs to the end with no standard input.
    fn finish(&mut self) -> Finished;
    /// Runs to the end with `input` as standard input.
    fn finish_with_input(&mut self, input: &[u8]) -> Finished;
}

impl CommandExt for Command {
    #[track_caller]
    fn finish(&mut self) -> Finished {
        let line = format!("{self:?}");
        let output = self
            .stdin(Stdio::null())
            .output()
            .unwrap_or_else(|error| panic!("{line}: {error}"));
        finished(line, output)
    }

    #[track_caller]
    fn finish_with_input(&mut self, input: &[u8]) -> Finished {
        let line = format!("{self:?}");
        let mut child = self
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| panic!("{line}: {error}"));
        let mut stdin = child.stdin.take().expect("stdin is piped");
        let input = input.to_vec();
        // A writer of its own, so that a program that answers while it reads cannot block us.
        let writer = std::thread::spawn(move || stdin.write_all(&input));
        let output = child
            .wait_with_output()
            .expect("the child can be waited for");
        // A program may end without reading all of its input: that is its right.
        let _written = writer.join().expect("the writer does not panic");
        finished(line, output)
    }
}

fn finished(line: String, output: std::process::Output) -> Finished {
    use std::os::unix::process::ExitStatusExt as _;
    let status = output.status;
    Finished {
        line,
        code: status
            .code()
            .unwrap_or_else(|| 128 + status.signal().unwrap_or(0)),
        stdout: output.stdout,
        stderr: output.stderr,
    }
}
