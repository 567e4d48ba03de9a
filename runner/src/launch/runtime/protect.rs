//! Runs the runtime from something that a container cannot overwrite.

use std::ffi::CString;
use std::io;
use std::os::fd::AsRawFd as _;
use std::os::unix::ffi::OsStringExt as _;

use super::{Result, RuntimeError};
use crate::launch::error::reason;
use crate::sys::{executable, process};

/// A program of a container may get hold of the file that its init came from
/// (`/proc/PID/exe`, CVE-2019-5736). Starts this command again from the same file on a mount
/// that nobody can write to; returns once that is so.
///
/// To be called before anything else is opened or started.
pub fn protect_executable() -> Result<()> {
    let failed = |error: &io::Error| {
        RuntimeError::Invalid(format!(
            "cannot protect the runtime's executable: {}",
            reason(error)
        ))
    };
    if executable::is_protected().map_err(|error| failed(&error))? {
        return Ok(());
    }
    let copy = executable::protected().map_err(|error| failed(&error))?;
    let strings = |values: Vec<std::ffi::OsString>| -> Vec<CString> {
        let strings = values.into_iter().map(|it| CString::new(it.into_vec()));
        strings.filter_map(std::result::Result::ok).collect()
    };
    let args = strings(std::env::args_os().collect());
    let env = std::env::vars_os().map(|(name, value)| {
        let mut pair = name;
        pair.push("=");
        pair.push(value);
        pair
    });
    let env = strings(env.collect());
    let path = CString::new(format!("/proc/self/fd/{}", copy.as_raw_fd())).unwrap_or_default();
    Err(failed(&process::execute(&path, &args, &env)))
}
