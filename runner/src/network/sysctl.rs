//! Kernel switches under `/proc/sys/net`, in the namespace of the calling thread.

use std::io;
use std::path::PathBuf;

use super::NetworkError;

/// Path of a switch. An interface name may contain dots, so the pieces stay apart.
fn path(pieces: &[&str]) -> PathBuf {
    let mut path = PathBuf::from("/proc/sys/net");
    path.extend(pieces);
    path
}

/// The switch's value; `None` where this kernel does not have it.
pub(super) fn read(pieces: &[&str]) -> Option<String> {
    let text = std::fs::read_to_string(path(pieces)).ok()?;
    Some(text.trim_end().to_owned())
}

/// Sets a switch unless it is set already, so that a read-only `/proc/sys` whose values are
/// right does not stand in the way. Returns whether anything changed.
pub(super) fn write(pieces: &[&str], value: &str) -> Result<bool, NetworkError> {
    if read(pieces).as_deref() == Some(value) {
        return Ok(false);
    }
    let path = path(pieces);
    std::fs::write(&path, value).map_err(|reason| NetworkError::Kernel {
        step: format!("writing {value} to {}", path.display()),
        reason,
    })?;
    Ok(true)
}

/// Like [`write()`], for switches that belong to a part of the kernel that may be missing
/// altogether, such as IPv6.
pub(super) fn write_if_present(pieces: &[&str], value: &str) -> Result<bool, NetworkError> {
    match write(pieces, value) {
        Err(NetworkError::Kernel { reason, .. }) if reason.kind() == io::ErrorKind::NotFound => {
            Ok(false)
        }
        done => done,
    }
}
