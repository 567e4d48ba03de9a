//! `hythe shim`: one small process per container, the parent of its init.
//!
//! Owns the container's streams, log and exit code, so that the daemon may come and go. Has one
//! thread and no runtime: what it does is one loop over a handful of descriptors
//! ([`event_loop`]). Never talks to anything but the daemon, init and the programs of execs.

mod connection;
mod create;
mod event_loop;
mod nursery;
mod program;
mod requests;
pub(super) mod rootfs;
mod watch;

pub(super) use create::order;
pub use rootfs::maps_owners_of_layers;

use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{self, Write as _};
use std::os::unix::net::UnixStream;
use std::process::ExitCode;

use super::bundle::Bundle;
use super::error::Step;
use super::message::{Reply, encode};
use super::{LaunchError, StartFailure};
use crate::sys::events;
use crate::sys::process::{self, Disposition};

/// SIGHUP, SIGINT, SIGQUIT, SIGPIPE, SIGTERM: a shim ends when its container has.
const IGNORED_SIGNALS: [i32; 5] = [1, 2, 3, 13, 15];

/// `hythe shim …`: to be called before any thread exists, with the arguments after `shim`.
pub fn shim_main(args: impl IntoIterator<Item = OsString>) -> ExitCode {
    let args: Vec<OsString> = args.into_iter().collect();
    let result = match args.as_slice() {
        [flag] if flag == "--nursery" => nursery::run(),
        _ => Err(StartFailure::setup("usage: hythe shim --nursery")),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            let _nobody_listens = writeln!(io::stderr(), "hythe shim: {failure}");
            ExitCode::FAILURE
        }
    }
}

/// Is the shim of `bundle`, from the making of the container to its end.
fn run(bundle: &Bundle, mut daemon: UnixStream) -> Result<(), StartFailure> {
    let _name_is_for_ps_only = process::set_name(c"hythe-shim");
    process::new_session().step(|| "cannot start a session".to_owned())?;
    ignore_signals()?;
    // Held until the end: its being locked says that this shim lives.
    let _lock = lock(bundle)?;
    match create::create(bundle) {
        Ok(mut shim) => shim
            .serve(daemon)
            .step(|| "the shim cannot go on".to_owned()),
        Err(failure) => {
            if let Ok(frame) = encode(&Reply::Failed(failure.clone())) {
                let _daemon_is_gone = daemon.write_all(&frame);
            }
            Err(failure)
        }
    }
}

fn ignore_signals() -> Result<(), StartFailure> {
    for signal in IGNORED_SIGNALS {
        process::set_disposition(signal, Disposition::Ignore)
            .step(|| format!("cannot ignore signal {signal}"))?;
    }
    Ok(())
}

fn lock(bundle: &Bundle) -> Result<File, StartFailure> {
    let what = || format!("cannot lock {}", bundle.lock().display());
    let file = fs::OpenOptions::new()
        .create(true)
        .truncate(false)
        .write(true)
        .open(bundle.lock())
        .step(what)?;
    if events::try_lock(&file).step(what)? {
        Ok(file)
    } else {
        Err(StartFailure::setup("another shim has this bundle"))
    }
}

impl From<LaunchError> for StartFailure {
    fn from(error: LaunchError) -> Self {
        match error {
            LaunchError::Start(failure) => failure,
            other => {
                let cause = std::error::Error::source(&other);
                let cause = cause.map_or_else(String::new, |it| format!(": {it}"));
                Self::setup(format!("{other}{cause}"))
            }
        }
    }
}
