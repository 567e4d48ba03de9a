//! A person at a terminal: reads what the program shows, then types.

use std::fs::File;
use std::io::{Read as _, Write as _};
use std::os::fd::OwnedFd;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use nix::pty::{Winsize, openpty};

use crate::{Finished, SHORT, eventually};

/// Rows and columns of the test's terminal: like nobody's default.
const SIZE: Winsize = Winsize {
    ws_row: 33,
    ws_col: 101,
    ws_xpixel: 0,
    ws_ypixel: 0,
};

/// A program on a pseudo-terminal of its own.
#[derive(Debug)]
pub struct Terminal {
    line: String,
    keyboard: File,
    shown: Arc<Mutex<Vec<u8>>>,
    child: Child,
    reader: Option<JoinHandle<()>>,
}

impl Terminal {
    /// Starts `command` with the terminal as its controlling one.
    pub fn start(command: &Command) -> Self {
        let pty = openpty(Some(&SIZE), None).expect("a pseudo-terminal");
        let mut session = Command::new("setsid");
        session
            .args(["--ctty", "--wait"])
            .arg(command.get_program())
            .args(command.get_args());
        session.envs(
            command
                .get_envs()
                .filter_map(|(key, value)| Some((key, value?))),
        );
        session.env("TERM", "dumb");
        let side = |fd: &OwnedFd| Stdio::from(fd.try_clone().expect("a second handle"));
        session
            .stdin(side(&pty.slave))
            .stdout(side(&pty.slave))
            .stderr(side(&pty.slave));
        let line = format!("{command:?}");
        let child = session.spawn().expect("setsid starts");
        // Only the program holds the other side, so that its end is the end of what it shows.
        drop(session);
        drop(pty.slave);
        let keyboard = File::from(pty.master);
        let mut screen = keyboard.try_clone().expect("a second handle");
        let shown = Arc::new(Mutex::new(Vec::new()));
        let kept = Arc::clone(&shown);
        let reader = std::thread::spawn(move || {
            let mut buffer = [0; 4096];
            // The kernel answers EIO when the other side is gone: the end.
            while let Ok(count @ 1..) = screen.read(&mut buffer) {
                kept.lock()
                    .expect("no holder panics")
                    .extend_from_slice(&buffer[..count]);
            }
        });
        Self {
            line,
            keyboard,
            shown,
            child,
            reader: Some(reader),
        }
    }

    /// What has been shown so far.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.shown.lock().expect("no holder panics")).into_owned()
    }

    /// Waits until `prompt` is shown, then types `keys`.
    #[track_caller]
    pub fn type_after(&mut self, prompt: &str, keys: &[u8]) {
        let start = Instant::now();
        while !self.text().contains(prompt) {
            let text = self.text();
            assert!(
                start.elapsed() < SHORT,
                "{} shows {text:?}, not {prompt:?}",
                self.line
            );
            std::thread::sleep(Duration::from_millis(20));
        }
        self.keyboard.write_all(keys).expect("the program reads");
    }

    /// Waits for the end.
    #[track_caller]
    pub fn finish(mut self) -> Finished {
        let status = eventually(&format!("{} ends", self.line), SHORT, || {
            self.child.try_wait().expect("it can be asked")
        });
        // The last words are there when the reader is at the end, which comes with the last
        // program that holds the terminal.
        if let Some(reader) = self.reader.take() {
            eventually("all that was shown is read", SHORT, || {
                reader.is_finished().then_some(())
            });
        }
        Finished {
            code: status.code().unwrap_or(-1),
            stdout: self.text().into_bytes(),
            stderr: Vec::new(),
            line: self.line.clone(),
        }
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        // A program that a failed test leaves behind; one that has ended is no error.
        let _ended = self.child.kill();
        let _reaped = self.child.wait();
    }
}
