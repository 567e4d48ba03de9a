//! Real containers through the launcher, as root on a real kernel.
//!
//! A shim is the executable that makes it, so this one has a `main` of its own: called with
//! `shim` it is one, otherwise it runs the tests.

#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "test code, but without the attribute that would say so"
)]

mod exec;
mod isolation;
mod lifecycle;
mod limits;
mod streams;
mod support;
mod survival;

use std::process::ExitCode;

fn main() -> ExitCode {
    let mut args = std::env::args_os().skip(1);
    if args.next().is_some_and(|first| first == "shim") {
        return hythe_runner::shim_main(args);
    }
    let arguments = libtest_mimic::Arguments::from_args();
    let mut trials = Vec::new();
    trials.extend(lifecycle::trials());
    trials.extend(streams::trials());
    trials.extend(exec::trials());
    trials.extend(limits::trials());
    trials.extend(isolation::trials());
    trials.extend(survival::trials());
    libtest_mimic::run(&arguments, trials).exit_code()
}
