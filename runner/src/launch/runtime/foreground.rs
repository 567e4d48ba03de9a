//! Staying with a program until it ends: signals go to it, a terminal is passed through.

use std::io;
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};

use super::create::{CreateOptions, make};
use super::record::Root;
use super::start::start_found;
use super::stop::remove;
use super::{Executed, Result, RuntimeError};
use crate::launch::error::Step;
use crate::sys::events::{self, Interest, Poller};
use crate::sys::process::{self, Child};
use crate::sys::signals::Signals;
use crate::sys::terminal::{self, RawMode};

const READ: Interest = Interest {
    read: true,
    write: false,
};

const EXIT: u64 = 0;
const SIGNAL: u64 = 1;
const INPUT: u64 = 2;
const OUTPUT: u64 = 3;

const SIGCHLD: i32 = 17;
const SIGWINCH: i32 = 28;
const SIGKILL: i32 = 9;

/// A program that somebody stays with.
#[derive(Debug)]
pub struct Attached {
    pub(super) child: Child,
    /// The master of its terminal, when that is passed through ours.
    pub(super) master: Option<OwnedFd>,
}

/// Creates and starts a container. Unless told to `detach`, waits for its end, removes it
/// (except to `keep` it) and returns its exit code.
pub fn run(
    root: &Root,
    options: &CreateOptions,
    (detach, keep): (bool, bool),
    warn: impl Fn(&str),
) -> Result<Executed> {
    let stays_with_terminal = !detach && options.console_socket.is_none();
    let created = make(root, options, stays_with_terminal)?;
    created.warnings.iter().for_each(|it| warn(it));
    let container = created.container;
    let attached = Attached {
        child: created.child,
        master: created.master,
    };
    if let Err(error) = start_found(&container) {
        let pidfd = attached.child.pidfd.as_fd();
        let _it_ends_anyway = process::send_signal(pidfd, SIGKILL);
        let _reaped = events::wait_for_end(pidfd).and_then(|()| process::reap(pidfd));
        let _first_failure_counts = remove(&container);
        return Err(error);
    }
    if detach {
        return Ok(Executed::Running);
    }
    let code = follow(&attached)?;
    if !keep {
        remove(&container)?.iter().for_each(|it| warn(it));
    }
    Ok(Executed::Ended(code))
}

/// Waits for the end of a program; its exit code.
pub(super) fn follow(attached: &Attached) -> Result<i32> {
    let what = || "cannot look after the program".to_owned();
    let pidfd = attached.child.pidfd.as_fd();
    let signals = Signals::take_all().step(what)?;
    let poller = Poller::new().step(what)?;
    poller.add(pidfd, EXIT, READ).step(what)?;
    poller.add(&signals, SIGNAL, READ).step(what)?;
    let passage = match &attached.master {
        Some(master) => Some(Passage::open(master, &poller).step(what)?),
        None => None,
    };
    loop {
        for ready in poller.wait(None).step(what)? {
            match (ready.token, &passage) {
                (EXIT, _) => {
                    if let Some(passage) = &passage {
                        passage.drain();
                    }
                    let code = process::reap(pidfd).step(what)?;
                    return code.ok_or_else(|| RuntimeError::Invalid(what()));
                }
                (SIGNAL, _) => match signals.next().step(what)? {
                    SIGCHLD => {}
                    SIGWINCH if passage.is_some() => {
                        passage.iter().for_each(Passage::pass_size);
                    }
                    signal => {
                        let _ended_meanwhile = process::send_signal(pidfd, signal);
                    }
                },
                (INPUT, Some(passage)) => passage.pass_input(&poller),
                (OUTPUT, Some(passage)) => passage.pass_output(&poller),
                _ => {}
            }
        }
    }
}

/// A terminal of the program's behind ours.
#[derive(Debug)]
struct Passage<'a> {
    master: &'a OwnedFd,
    /// Ours is as it was once this is dropped.
    _raw: Option<RawMode>,
}

impl<'a> Passage<'a> {
    fn open(master: &'a OwnedFd, poller: &Poller) -> io::Result<Self> {
        let passage = Self {
            master,
            // Without a terminal of our own there is nothing to be set.
            _raw: RawMode::enter(io::stdin().as_fd()).ok(),
        };
        passage.pass_size();
        poller.add(master, OUTPUT, READ)?;
        // A plain file is always ready and cannot be watched: nothing is typed there.
        let _not_watched = poller.add(io::stdin().as_fd(), INPUT, READ);
        Ok(passage)
    }

    fn pass_size(&self) {
        if let Ok((rows, columns)) = terminal::size(io::stdin().as_fd()) {
            let _gone = terminal::resize(self.master, rows, columns);
        }
    }

    fn pass_input(&self, poller: &Poller) {
        if copy_once(io::stdin().as_fd(), self.master.as_fd()).unwrap_or(0) == 0 {
            let _not_watched = poller.remove(io::stdin().as_fd());
        }
    }

    fn pass_output(&self, poller: &Poller) {
        if copy_once(self.master.as_fd(), io::stdout().as_fd()).unwrap_or(0) == 0 {
            // All ends of the program's side are closed.
            let _not_watched = poller.remove(self.master.as_fd());
        }
    }

    /// What is still on its way.
    fn drain(&self) {
        if events::set_nonblocking(self.master).is_ok() {
            while copy_once(self.master.as_fd(), io::stdout().as_fd()).unwrap_or(0) > 0 {}
        }
    }
}

fn copy_once(from: BorrowedFd<'_>, to: BorrowedFd<'_>) -> io::Result<usize> {
    let mut buffer = [0; 8192];
    let length = events::read(from, &mut buffer)?;
    let mut rest = &buffer[..length];
    while !rest.is_empty() {
        let written = events::write(to, rest)?;
        rest = &rest[written..];
    }
    Ok(length)
}
