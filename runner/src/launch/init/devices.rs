//! `/dev` of a container: nodes, links, the console.

use std::ffi::CString;
use std::io;
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

use oci_spec::runtime::{LinuxDevice, LinuxDeviceType};

use crate::launch::StartFailure;
use crate::launch::error::Step;
use crate::sys::{in_root, mount, nodes};

/// Links that programs expect, as (name, target).
const LINKS: [(&str, &str); 6] = [
    ("/dev/fd", "/proc/self/fd"),
    ("/dev/stdin", "/proc/self/fd/0"),
    ("/dev/stdout", "/proc/self/fd/1"),
    ("/dev/stderr", "/proc/self/fd/2"),
    ("/dev/core", "/proc/kcore"),
    ("/dev/ptmx", "pts/ptmx"),
];

/// A node to be made and, where the process may not make nodes, the host's own to bind.
#[derive(Debug)]
pub(super) struct Node<'a> {
    pub(super) device: &'a LinuxDevice,
    pub(super) host: Option<OwnedFd>,
}

/// Makes nodes and links below the root `root`. What is there already stays.
pub(super) fn create(root: BorrowedFd<'_>, devices: &[Node<'_>]) -> Result<(), StartFailure> {
    for node in devices {
        let path = node.device.path();
        let what = || format!("cannot make device node {}", path.display());
        match &node.host {
            Some(host) => {
                let place = in_root::create_file(root, path, 0o666).step(what)?;
                mount::attach(host.as_fd(), place.as_fd()).step(what)?;
            }
            None => make(root, node.device).step(what)?,
        }
    }
    for (name, target) in LINKS {
        let what = || format!("cannot make link {name}");
        let (parent, name) = parent_of(root, Path::new(name)).step(what)?;
        match nodes::create_symlink(parent.as_fd(), &name, target) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            other => other.step(what)?,
        }
    }
    Ok(())
}

fn make(root: BorrowedFd<'_>, device: &LinuxDevice) -> io::Result<()> {
    let kind = match device.typ() {
        LinuxDeviceType::B => nodes::Kind::Block,
        LinuxDeviceType::P => nodes::Kind::Fifo,
        LinuxDeviceType::C | LinuxDeviceType::U => nodes::Kind::Character,
        LinuxDeviceType::A => return Err(io::ErrorKind::InvalidInput.into()),
    };
    let number = |it: i64| u64::try_from(it).unwrap_or(0);
    let node = nodes::NewNode {
        kind,
        major: number(device.major()),
        minor: number(device.minor()),
        mode: device.file_mode().unwrap_or(0o666) & 0o7777,
        uid: device.uid().unwrap_or(0),
        gid: device.gid().unwrap_or(0),
    };
    let (parent, name) = parent_of(root, device.path())?;
    match nodes::create(parent.as_fd(), &name, node) {
        // An image may bring its own `/dev`; what is mounted there was asked for.
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        other => other,
    }
}

/// Binds the terminal to `/dev/console`.
pub(super) fn bind_console(
    root: BorrowedFd<'_>,
    terminal: BorrowedFd<'_>,
) -> Result<(), StartFailure> {
    let what = || "cannot set up /dev/console".to_owned();
    let place = in_root::create_file(root, Path::new("/dev/console"), 0o620).step(what)?;
    let console = mount::clone_fd(terminal, false).step(what)?;
    mount::attach(console.as_fd(), place.as_fd()).step(what)
}

fn parent_of(root: BorrowedFd<'_>, path: &Path) -> io::Result<(OwnedFd, CString)> {
    let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else {
        return Err(io::ErrorKind::InvalidInput.into());
    };
    let name = CString::new(name.as_bytes())?;
    Ok((in_root::create_dir_all(root, parent, 0o755)?, name))
}
