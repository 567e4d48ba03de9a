//! The files of a bundle directory, all in one place.
//!
//! ```text
//! <bundle>/
//!   config.json    the OCI runtime specification, without its seccomp part
//!   shim.json      what else the shim has to know
//!   seccomp.bpf    the compiled filter: four bytes of flags, then instructions
//!   shim.lock      locked by the shim while it lives
//!   shim.sock      where it listens
//!   shim.stderr    what it had to complain about
//!   execs.json     the exit codes of execs that ended before init
//!   exit.json      how init ended; the last thing the shim writes
//! ```

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use oci_spec::runtime::Spec;
use serde::de::DeserializeOwned;

use super::{Cgroup, ExitStatus, LaunchError, ShimConfig};
use crate::sys::durable;

/// The directory of one container's bundle.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Bundle(PathBuf);

impl Bundle {
    pub(super) fn at(directory: &Path) -> Self {
        Self(directory.to_owned())
    }

    pub(super) fn directory(&self) -> &Path {
        &self.0
    }

    pub(super) fn lock(&self) -> PathBuf {
        self.0.join("shim.lock")
    }

    pub(super) fn stderr(&self) -> PathBuf {
        self.0.join("shim.stderr")
    }

    pub(super) fn socket(&self) -> PathBuf {
        self.0.join(Self::SOCKET_NAME)
    }

    /// The name alone: its full path may be longer than a socket address can be.
    pub(super) const SOCKET_NAME: &str = "shim.sock";

    /// Writes what a shim needs and removes what an earlier one left.
    pub(super) fn write(
        &self,
        spec: &Spec,
        shim: &ShimConfig,
        seccomp: Option<&[u8]>,
    ) -> Result<(), LaunchError> {
        durable::create_private_dir(&self.0).map_err(|source| self.failed("create", "", source))?;
        for leftover in [
            Self::SOCKET_NAME,
            "shim.lock",
            "execs.json",
            "exit.json",
            "seccomp.bpf",
        ] {
            match fs::remove_file(self.0.join(leftover)) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    return Err(self.failed("remove", leftover, error));
                }
                _ => {}
            }
        }
        // Not fsynced: a bundle that a power loss damages belongs to no running container.
        self.put("config.json", &to_json(spec)?)?;
        self.put("shim.json", &to_json(shim)?)?;
        if let Some(program) = seccomp {
            self.put("seccomp.bpf", program)?;
        }
        Ok(())
    }

    fn put(&self, name: &str, content: &[u8]) -> Result<(), LaunchError> {
        fs::write(self.0.join(name), content).map_err(|source| self.failed("write", name, source))
    }

    pub(super) fn spec(&self) -> Result<Spec, LaunchError> {
        self.read_json("config.json")?
            .ok_or_else(|| self.failed("read", "config.json", io::ErrorKind::NotFound.into()))
    }

    pub(super) fn shim_config(&self) -> Result<ShimConfig, LaunchError> {
        self.read_json("shim.json")?
            .ok_or_else(|| self.failed("read", "shim.json", io::ErrorKind::NotFound.into()))
    }

    /// The compiled seccomp filter, if the container has one.
    pub(super) fn seccomp(&self) -> Result<Option<Vec<u8>>, LaunchError> {
        match fs::read(self.0.join("seccomp.bpf")) {
            Ok(program) => Ok(Some(program)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(self.failed("read", "seccomp.bpf", error)),
        }
    }

    /// How init ended, once it has.
    pub(super) fn exit_status(&self) -> Result<Option<ExitStatus>, LaunchError> {
        self.read_json("exit.json")
    }

    /// Records how init ended, for as long as this machine runs: bundles of an earlier boot are
    /// thrown away unread.
    pub(super) fn write_exit_status(&self, status: &ExitStatus) -> Result<(), LaunchError> {
        durable::replace_file_unsynced(&self.0.join("exit.json"), &to_json(status)?)
            .map_err(|source| self.failed("write", "exit.json", source))
    }

    /// The exit codes of execs, by their ids, that ended before init did.
    pub(super) fn exec_codes(&self) -> Result<BTreeMap<String, i32>, LaunchError> {
        Ok(self.read_json("execs.json")?.unwrap_or_default())
    }

    /// Records the ends of execs, if there were any. Not fsynced: nobody asks for them after a
    /// power loss.
    pub(super) fn write_exec_codes(
        &self,
        codes: &BTreeMap<String, i32>,
    ) -> Result<(), LaunchError> {
        if codes.is_empty() {
            return Ok(());
        }
        self.put("execs.json", &to_json(codes)?)
    }

    /// The control group that the specification names.
    pub(super) fn cgroup(spec: &Spec) -> Result<Cgroup, LaunchError> {
        let path = spec
            .linux()
            .as_ref()
            .and_then(|it| it.cgroups_path().as_ref());
        let path = path
            .ok_or_else(|| LaunchError::InvalidBundle("linux.cgroupsPath is not set".to_owned()))?;
        Cgroup::at(path)
    }

    fn read_json<T: DeserializeOwned>(&self, name: &str) -> Result<Option<T>, LaunchError> {
        let text = match fs::read(self.0.join(name)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            other => other.map_err(|source| self.failed("read", name, source))?,
        };
        let parsed = serde_json::from_slice(&text).map_err(|error| {
            LaunchError::InvalidBundle(format!("{}: {error}", self.0.join(name).display()))
        })?;
        Ok(Some(parsed))
    }

    fn failed(&self, action: &'static str, name: &str, source: io::Error) -> LaunchError {
        LaunchError::File {
            action,
            path: self.0.join(name),
            source,
        }
    }
}

fn to_json<T: serde::Serialize>(value: &T) -> Result<Vec<u8>, LaunchError> {
    serde_json::to_vec(value).map_err(|error| LaunchError::InvalidBundle(error.to_string()))
}
