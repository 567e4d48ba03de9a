//! `hythe runtime`: an OCI runtime for other engines, with the command line of runc.
//!
//! Also what this binary is when it is called `hythe-runtime`, as an engine that takes the path of
//! a runtime calls it. Parses, calls `hythe_runner::runtime`, and says how it went where the
//! caller looks for it: standard error, and the file of `--log`.

mod arguments;
mod log;
mod verbs;

use std::ffi::OsString;
use std::path::Path;
use std::process::ExitCode;

use clap::Parser as _;

use arguments::{Arguments, Verb};
use log::Log;

const NAME: &str = "hythe-runtime";

/// The arguments of the runtime, its own name first, if that is what this process is to be.
pub(crate) fn arguments_for_runtime() -> Option<Vec<OsString>> {
    let mut words = std::env::args_os();
    let own = words.next()?;
    if Path::new(&own).file_name()? == NAME {
        return Some(std::iter::once(own).chain(words).collect());
    }
    let is_runtime = words.next()? == "runtime";
    is_runtime.then(|| std::iter::once(NAME.into()).chain(words).collect())
}

/// To be called before any thread exists: this process is copied to become containers.
pub(crate) fn run(words: Vec<OsString>) -> ExitCode {
    let arguments = match Arguments::try_parse_from(words) {
        Ok(arguments) => arguments,
        Err(error) => {
            let code = u8::from(error.use_stderr());
            let _nobody_listens = error.print();
            return ExitCode::from(code);
        }
    };
    let log = match Log::open(arguments.log.as_deref(), arguments.log_format) {
        Ok(log) => log,
        Err(error) => {
            Log::to_stderr_only().error(&format!("cannot open the log: {error}"));
            return ExitCode::FAILURE;
        }
    };
    // A failed exec is told from a program that failed.
    let failed = if matches!(arguments.verb, Verb::Exec(_)) {
        255
    } else {
        1
    };
    match verbs::carry_out(arguments, &log) {
        Ok(code) => ExitCode::from(code),
        Err(error) => {
            log.error(&error.to_string());
            ExitCode::from(failed)
        }
    }
}
