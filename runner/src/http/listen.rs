//! The unix socket the API is served on. Whoever can write to it is root on this machine, so that at
//! no moment may it be open to more than root and the group that was named.

use std::fs::{self, File, Permissions};
use std::io;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::os::unix::fs::{FileTypeExt as _, PermissionsExt as _, chown};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};

use nix::unistd::Group;
use socket2::{Domain, SockAddr, Socket, Type};
use tokio::net::UnixListener;

use crate::sys::socket;

/// Connections that may wait to be accepted.
const BACKLOG: i32 = 1024;

/// Why the API cannot be served on a socket.
#[derive(Debug, thiserror::Error)]
pub enum ListenError {
    #[error("another agent answers on {0}")]
    InUse(PathBuf),
    #[error("{0} exists and is no socket")]
    NotASocket(PathBuf),
    #[error("there is no group {0:?}")]
    NoSuchGroup(String),
    #[error("cannot listen on {address}")]
    Tcp {
        address: SocketAddr,
        #[source]
        source: io::Error,
    },
    #[error("{path}: {reason}")]
    Certificate { path: PathBuf, reason: String },
    #[error("cannot listen on {path}")]
    Io {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
}

/// Binds `path`, for root and `group` only. A socket that nobody answers on is left over from an
/// earlier agent and is replaced.
pub fn listen(path: &Path, group: Option<&str>) -> Result<UnixListener, ListenError> {
    let gid = group.map(group_id).transpose()?;
    remove_stale(path)?;
    let failed = |source| ListenError::Io {
        path: path.to_owned(),
        source,
    };
    let listener = bind(path).map_err(failed)?;
    if let Some(gid) = gid {
        chown(path, None, Some(gid)).map_err(failed)?;
    }
    // Opened up only now that the group is right.
    fs::set_permissions(path, Permissions::from_mode(0o660)).map_err(failed)?;
    UnixListener::from_std(listener).map_err(failed)
}

/// Serves on the socket that whoever started us has opened; who may use it is their decision.
pub fn take_over(path: &Path) -> Result<UnixListener, ListenError> {
    let failed = |source| ListenError::Io {
        path: path.to_owned(),
        source,
    };
    let socket = socket::passed_on().map_err(failed)?;
    let listener = std::os::unix::net::UnixListener::from(socket);
    // Fails for a socket of another family.
    listener.local_addr().map_err(failed)?;
    listener.set_nonblocking(true).map_err(failed)?;
    UnixListener::from_std(listener).map_err(failed)
}

fn group_id(name: &str) -> Result<u32, ListenError> {
    if let Ok(number) = name.parse() {
        return Ok(number);
    }
    match Group::from_name(name) {
        Ok(Some(group)) => Ok(group.gid.as_raw()),
        Ok(None) | Err(_) => Err(ListenError::NoSuchGroup(name.to_owned())),
    }
}

fn remove_stale(path: &Path) -> Result<(), ListenError> {
    let failed = |source| ListenError::Io {
        path: path.to_owned(),
        source,
    };
    match fs::symlink_metadata(path) {
        Ok(found) if !found.file_type().is_socket() => {
            Err(ListenError::NotASocket(path.to_owned()))
        }
        Ok(_) if UnixStream::connect(path).is_ok() => Err(ListenError::InUse(path.to_owned())),
        Ok(_) => fs::remove_file(path).map_err(failed),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(failed(error)),
    }
}

/// Linux gives a bound socket the mode that the descriptor has by then (unix(7)), so that there
/// is no moment in which it is open to others.
fn bind(path: &Path) -> io::Result<std::os::unix::net::UnixListener> {
    let socket = Socket::new(Domain::UNIX, Type::STREAM.cloexec().nonblocking(), None)?;
    let file = File::from(OwnedFd::from(socket));
    file.set_permissions(Permissions::from_mode(0o600))?;
    let socket = Socket::from(OwnedFd::from(file));
    socket.bind(&SockAddr::unix(path)?)?;
    socket.listen(BACKLOG)?;
    Ok(OwnedFd::from(socket).into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_socket_is_for_root_and_the_group() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("api.sock");
        let listener = listen(&path, None).unwrap();
        let mode = fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o660);
        assert!(matches!(listen(&path, None), Err(ListenError::InUse(_))));
        drop(listener);
        listen(&path, None).unwrap();
    }

    #[tokio::test]
    async fn files_and_unknown_groups_are_refused() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("file");
        fs::write(&path, "mine").unwrap();
        assert!(matches!(
            listen(&path, None),
            Err(ListenError::NotASocket(_))
        ));
        let other = directory.path().join("api.sock");
        let unknown = listen(&other, Some("no such group"));
        assert!(matches!(unknown, Err(ListenError::NoSuchGroup(_))));
        assert!(!other.exists());
    }
}
