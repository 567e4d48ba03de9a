//! The process whose copies become shims.
//!
//! Loading our executable takes longer than all else that a start needs, and each load has a
//! megabyte of relocated pointers to itself. So the daemon loads it once, here: one thread, no
//! runtime, nothing in memory but the code. Each shim is a copy that shares all of it.
//!
//! Ends with the daemon; its shims go on.

use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{self, Write as _};
use std::os::fd::{AsFd as _, AsRawFd as _, OwnedFd};
use std::os::unix::ffi::OsStringExt as _;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;

use crate::launch::bundle::Bundle;
use crate::launch::error::Step;
use crate::launch::message::{Reply, encode};
use crate::launch::{Cgroup, StartFailure};
use crate::sys::executable;
use crate::sys::message_socket::MessageSocket;
use crate::sys::process::{self, CloneRequest, Disposition};

const SIGCHLD: i32 = 17;

/// Serves the daemon, whose socket is standard input, until it is gone.
pub(super) fn run() -> Result<(), StartFailure> {
    let what = || "cannot serve the daemon".to_owned();
    let _name_is_for_ps_only = process::set_name(c"hythe-nursery");
    process::new_session().step(what)?;
    super::ignore_signals()?;
    // Nobody waits for shims: they tell their ends themselves.
    process::set_disposition(SIGCHLD, Disposition::Ignore).step(what)?;
    let daemon = take_socket().step(what)?;
    let _older_kernels_share_less = executable::map_code();
    // What every shim would have to find out, and can as well be born with.
    let _each_tells_if_it_fails = Cgroup::version();
    while let Some((path, connection)) = daemon.receive().step(what)? {
        if let Some(connection) = connection {
            let bundle = Bundle::at(&PathBuf::from(OsString::from_vec(path)));
            raise(bundle, UnixStream::from(connection));
        }
    }
    Ok(())
}

/// The daemon's socket, moved away from descriptor 0, which is to be harmless.
fn take_socket() -> io::Result<MessageSocket> {
    let first = process::take_standard_input();
    let socket = first.try_clone()?;
    let null = OwnedFd::from(File::open("/dev/null")?);
    process::set_standard_stream(0, null.as_fd())?;
    // The number stays in use, for /dev/null.
    std::mem::forget(first);
    Ok(MessageSocket::from(socket))
}

/// Makes one shim; `connection` is its first to the daemon.
fn raise(bundle: Bundle, connection: UnixStream) {
    let Ok(mut own) = connection.try_clone() else {
        return;
    };
    let born = process::clone_process(CloneRequest::default(), move || {
        let grown = grow_up(&bundle, &connection).and_then(|()| super::run(&bundle, connection));
        match grown {
            Ok(()) => 0,
            Err(failure) => {
                let _nobody_listens = writeln!(io::stderr(), "hythe shim: {failure}");
                1
            }
        }
    });
    if let Err(error) = born {
        let failure = StartFailure::setup(format!("cannot clone a shim: {error}"));
        if let Ok(frame) = encode(&Reply::Failed(failure)) {
            let _daemon_is_gone = own.write_all(&frame);
        }
    }
}

/// Leaves behind what belongs to the nursery.
fn grow_up(bundle: &Bundle, connection: &UnixStream) -> Result<(), StartFailure> {
    process::close_all_except(&mut [connection.as_raw_fd()])
        .step(|| "cannot close descriptors".to_owned())?;
    process::set_disposition(SIGCHLD, Disposition::Default)
        .step(|| "cannot hear of children".to_owned())?;
    let what = || format!("cannot write {}", bundle.stderr().display());
    let complaints = fs::File::create(bundle.stderr()).step(what)?;
    process::set_standard_stream(2, complaints.as_fd()).step(what)
}
