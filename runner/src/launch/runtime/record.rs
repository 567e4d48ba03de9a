//! What is kept of a container between two verbs.

use std::fs::{self, File};
use std::io;
use std::os::fd::{AsRawFd as _, OwnedFd};
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use oci_spec::runtime::{ContainerState, Spec, State};
use serde::{Deserialize, Serialize};

use super::{Result, RuntimeError};
use crate::launch::bundle::Bundle;
use crate::launch::error::{Step, reason};
use crate::launch::{Cgroup, StartFailure};
use crate::sys::message_socket::{MessageListener, MessageSocket};
use crate::sys::process;

/// The version of the specification that this runtime was written for.
pub(super) const SPEC_VERSION: &str = "1.2.0";

const MAX_ID_BYTES: usize = 1024;
const SOCKET_NAME: &str = "start.sock";

/// The directory of all containers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Root(PathBuf);

/// `state.json`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Record {
    pub(super) id: String,
    /// Init, as the runtime's pid namespace counts.
    pub(super) pid: i32,
    /// When that process began, in ticks since boot: its number may be used again.
    pub(super) begin_ticks: u64,
    pub(super) bundle: PathBuf,
    pub(super) rootfs: PathBuf,
    pub(super) created: Timestamp,
    pub(super) cgroup: PathBuf,
}

/// A container and its directory.
#[derive(Debug)]
pub(super) struct Container {
    directory: PathBuf,
    pub(super) record: Record,
}

/// Where a container is in its life, in the words of the specification.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Status {
    Created,
    Running,
    /// Not of the specification; what runc says of a frozen one.
    Paused,
    Stopped,
}

impl Status {
    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Created => "created",
            Self::Running => "running",
            Self::Paused => "paused",
            Self::Stopped => "stopped",
        }
    }
}

impl Root {
    pub fn at(directory: PathBuf) -> Self {
        Self(directory)
    }

    /// Makes the directory of a new container, which must not be there.
    pub(super) fn claim(&self, id: &str) -> Result<PathBuf> {
        let failed = |error: &io::Error| {
            let what = format!("cannot create {}", self.0.join(id).display());
            RuntimeError::Invalid(format!("{what}: {}", reason(error)))
        };
        let mut builder = fs::DirBuilder::new();
        builder.mode(0o700);
        builder
            .recursive(true)
            .create(&self.0)
            .map_err(|error| failed(&error))?;
        let directory = self.0.join(id);
        match builder.recursive(false).create(&directory) {
            Ok(()) => Ok(directory),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                Err(RuntimeError::Exists(id.to_owned()))
            }
            Err(error) => Err(failed(&error)),
        }
    }

    pub(super) fn find(&self, id: &str) -> Result<Container> {
        check_id(id)?;
        let directory = self.0.join(id);
        let text = match fs::read(directory.join("state.json")) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Err(RuntimeError::NoSuchContainer(id.to_owned()));
            }
            other => other.step(|| format!("cannot read the state of {id}"))?,
        };
        let record = serde_json::from_slice(&text)
            .map_err(|error| RuntimeError::Invalid(format!("the state of {id}: {error}")))?;
        Ok(Container { directory, record })
    }

    /// Ids of all containers, in order; what is being created is none yet.
    pub(super) fn ids(&self) -> Result<Vec<String>> {
        let entries = match fs::read_dir(&self.0) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            other => other.step(|| format!("cannot read {}", self.0.display()))?,
        };
        let mut ids: Vec<String> = entries
            .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
            .filter(|id| self.0.join(id).join("state.json").exists())
            .collect();
        ids.sort_unstable();
        Ok(ids)
    }

    /// Removes what an unfinished `create` has left under that name; `false` when it is whole or
    /// not there.
    pub(super) fn remove_unfinished(&self, id: &str) -> Result<bool> {
        check_id(id)?;
        let directory = self.0.join(id);
        if !directory.is_dir() || directory.join("state.json").exists() {
            return Ok(false);
        }
        fs::remove_dir_all(&directory).step(|| format!("cannot remove {}", directory.display()))?;
        Ok(true)
    }
}

/// Letters, digits and `_+-.`: it becomes the name of a directory.
pub(super) fn check_id(id: &str) -> Result<()> {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"_+-.".contains(&byte);
    if id.is_empty() || id == "." || id == ".." || id.len() > MAX_ID_BYTES || !id.bytes().all(plain)
    {
        return Err(RuntimeError::InvalidId(format!(
            "invalid container id {id:?}: it may hold letters, digits and _+-."
        )));
    }
    Ok(())
}

impl Container {
    pub(super) fn new(directory: PathBuf, record: Record) -> Self {
        Self { directory, record }
    }

    /// Writes the record as a whole, or not at all.
    pub(super) fn save(&self) -> Result<()> {
        let path = self.directory.join("state.json");
        let partial = self.directory.join("state.json.partial");
        let text = serde_json::to_vec(&self.record)
            .map_err(|error| RuntimeError::Invalid(error.to_string()))?;
        // Not fsynced: after a power loss there is no container that it could speak of.
        fs::write(&partial, text)
            .and_then(|()| fs::rename(&partial, &path))
            .step(|| format!("cannot write {}", path.display()))?;
        Ok(())
    }

    pub(super) fn bundle(&self) -> Bundle {
        Bundle::at(&self.directory)
    }

    pub(super) fn spec(&self) -> Result<Spec> {
        Ok(self.bundle().spec()?)
    }

    pub(super) fn cgroup(&self) -> Result<Cgroup> {
        Ok(Cgroup::at(&self.record.cgroup)?)
    }

    pub(super) fn status(&self) -> Result<Status> {
        if begin_of(self.record.pid) != Some(self.record.begin_ticks) {
            return Ok(Status::Stopped);
        }
        if self.directory.join(SOCKET_NAME).exists() {
            return Ok(Status::Created);
        }
        Ok(if self.cgroup()?.is_paused() {
            Status::Paused
        } else {
            Status::Running
        })
    }

    /// A descriptor of init, unless it has ended.
    pub(super) fn init(&self) -> Option<OwnedFd> {
        let pidfd = process::open_pidfd(self.record.pid).ok()?;
        // Looked at only now: the number cannot change hands under the descriptor.
        (begin_of(self.record.pid) == Some(self.record.begin_ticks)).then_some(pidfd)
    }

    /// Where init waits for its start.
    pub(super) fn listen(directory: &Path) -> std::result::Result<MessageListener, StartFailure> {
        let what = || format!("cannot listen in {}", directory.display());
        let open = File::open(directory).step(what)?;
        MessageListener::bind(&short(&open)).step(what)
    }

    pub(super) fn connect(&self) -> io::Result<MessageSocket> {
        MessageSocket::connect(&short(&File::open(&self.directory)?))
    }

    /// Init waits no longer.
    pub(super) fn forget_start(&self) -> Result<()> {
        match fs::remove_file(self.directory.join(SOCKET_NAME)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                Err(error).step(|| "cannot remove the start socket".to_owned())?
            }
            _ => Ok(()),
        }
    }

    pub(super) fn remove(&self) -> Result<()> {
        fs::remove_dir_all(&self.directory)
            .step(|| format!("cannot remove {}", self.directory.display()))?;
        Ok(())
    }

    /// What hooks and callers are told.
    pub(super) fn oci_state(&self, spec: &Spec, status: ContainerState) -> State {
        let pid = (status != ContainerState::Stopped).then_some(self.record.pid);
        oci_state(spec, &self.record, status, pid)
    }
}

/// The state in the words of the specification.
pub(super) fn oci_state(
    spec: &Spec,
    record: &Record,
    status: ContainerState,
    pid: Option<i32>,
) -> State {
    let mut state = State::default();
    state
        .set_version(SPEC_VERSION.to_owned())
        .set_id(record.id.clone())
        .set_status(status)
        .set_pid(pid)
        .set_bundle(record.bundle.clone())
        .set_annotations(spec.annotations().clone());
    state
}

/// By way of a descriptor: a socket's address is short.
fn short(directory: &File) -> PathBuf {
    PathBuf::from(format!(
        "/proc/self/fd/{}/{SOCKET_NAME}",
        directory.as_raw_fd()
    ))
}

/// When a living process began, in ticks since boot; `None` for one that has ended, reaped or not.
pub(super) fn begin_of(pid: i32) -> Option<u64> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The second field may hold spaces and ends with `)`, proc_pid_stat(5).
    let mut fields = stat.rsplit_once(')')?.1.split_ascii_whitespace();
    if matches!(fields.next()?, "Z" | "X") {
        return None;
    }
    fields.nth(22 - 4)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_names_of_directories() {
        for good in ["a", "A-1_b.c+d", "0"] {
            check_id(good).unwrap();
        }
        for bad in ["", ".", "..", "a/b", "a b", "ä", &"x".repeat(1025)] {
            assert!(check_id(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_process_has_a_begin_until_it_ends() {
        let own = i32::try_from(std::process::id()).unwrap();
        assert!(begin_of(own).is_some());
        assert_eq!(begin_of(i32::MAX), None);
    }
}
