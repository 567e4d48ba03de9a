//! Makes shims and finds those that an earlier daemon left. Lives in the daemon.

use std::path::{Path, PathBuf};

use oci_spec::runtime::Spec;

use super::{ExitStatus, LaunchError, Shim, ShimConfig};

/// Starts shims from a sealed copy of our own executable.
#[derive(Debug, Clone)]
pub struct Launcher {
    run_dir: PathBuf,
}

/// What is behind a bundle.
#[derive(Debug)]
pub enum Found {
    /// The program runs.
    Running(Shim),
    /// Init waits for `start`.
    Created(Shim),
    /// It has ended; also when the shim was killed (then with code 137).
    Exited(ExitStatus),
    /// No process was ever made, or nothing of it is left.
    Gone,
}

impl Launcher {
    /// `run_dir` holds what need not survive a reboot; it is created when missing.
    pub fn new(run_dir: &Path) -> Result<Self, LaunchError> {
        Ok(Self {
            run_dir: run_dir.to_owned(),
        })
    }

    /// Checks `spec` against this machine and writes the bundle into the directory `bundle`.
    ///
    /// Returns one sentence for each thing that this machine cannot do and that is left out:
    /// capabilities beyond our own bounding set, limits above our own hard limits.
    pub async fn write_bundle(
        &self,
        bundle: &Path,
        spec: Spec,
        shim: &ShimConfig,
    ) -> Result<Vec<String>, LaunchError> {
        let _ = (bundle, spec, shim, &self.run_dir);
        todo!()
    }

    /// Makes everything of the container but its program: namespaces, mounts, cgroup, init.
    ///
    /// Its network can be set up between this and [`Shim::start`]. On an error nothing is left.
    pub async fn create(&self, bundle: &Path) -> Result<Shim, LaunchError> {
        let _ = bundle;
        todo!()
    }

    /// Finds what an earlier daemon left in `bundle`.
    ///
    /// When the shim was killed, this also removes what it could no longer remove: processes
    /// and control groups.
    pub async fn reconnect(&self, bundle: &Path) -> Result<Found, LaunchError> {
        let _ = bundle;
        todo!()
    }
}
