//! Makes shims and finds those that an earlier daemon left. Lives in the daemon.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io;
use std::os::unix::net::UnixStream as StdUnixStream;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use oci_spec::runtime::Spec;
use tokio::net::UnixStream;
use tokio::time::{Instant, sleep};

use super::bundle::Bundle;
use super::client::{Connection, bury};
use super::message::{Reply, Request};
use super::nursery::Nursery;
use super::seccomp::{Compiler, Program};
use super::{Cgroup, ExitStatus, LaunchError, Shim, ShimConfig, StartFailure, fitting};
use crate::sys::{durable, events};

/// How long a shim that is just starting is waited for.
const PATIENCE: Duration = Duration::from_secs(10);
const PAUSE_BETWEEN_LOOKS: Duration = Duration::from_millis(5);

/// Starts shims from our own executable, protected from containers. Clones share it.
#[derive(Debug, Clone)]
pub struct Launcher(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    nursery: Nursery,
    seccomp: Compiler,
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

/// A bundle on disk, for [`Launcher::create`].
#[derive(Debug)]
pub struct Written {
    /// What this machine cannot do and what was left out, a sentence each.
    pub warnings: Vec<String>,
    bundle: Bundle,
    cgroup: Cgroup,
}

impl Inner {
    /// Takes the seccomp profile out of `spec`, compiled.
    fn compile_out(&self, spec: &mut Spec) -> Result<Option<Program>, LaunchError> {
        let linux = spec.linux_mut().as_mut();
        let profile = linux.and_then(|linux| {
            let profile = linux.seccomp().clone();
            linux.set_seccomp(None);
            profile
        });
        profile
            .map(|profile| self.seccomp.compile(&profile))
            .transpose()
    }
}

impl Launcher {
    /// `run_dir` is where bundles are to be; it is created when missing.
    pub fn new(run_dir: &Path) -> Result<Self, LaunchError> {
        durable::create_private_dir(run_dir).map_err(|source| LaunchError::File {
            action: "create",
            path: run_dir.to_owned(),
            source,
        })?;
        let nursery = Nursery::new().map_err(|source| LaunchError::System {
            action: "protect our own executable",
            source,
        })?;
        Ok(Self(Arc::new(Inner {
            nursery,
            seccomp: Compiler::default(),
        })))
    }

    /// Checks `spec` against this machine, as [`Self::write_bundle`] would, and writes nothing.
    ///
    /// Returns one sentence for each thing that this machine cannot do and that is left out:
    /// capabilities beyond our own bounding set, limits above our own hard limits.
    pub async fn check(&self, mut spec: Spec) -> Result<Vec<String>, LaunchError> {
        let inner = Arc::clone(&self.0);
        blocking(move || {
            let warnings = fitting::fit(&mut spec)?;
            Bundle::cgroup(&spec)?;
            inner.compile_out(&mut spec)?;
            Ok(warnings)
        })
        .await
    }

    /// Fits `spec` to this machine and writes the bundle into the directory `bundle`.
    pub async fn write_bundle(
        &self,
        bundle: &Path,
        mut spec: Spec,
        shim: &ShimConfig,
    ) -> Result<Written, LaunchError> {
        let inner = Arc::clone(&self.0);
        let bundle = Bundle::at(bundle);
        let shim = shim.clone();
        blocking(move || {
            let warnings = fitting::fit(&mut spec)?;
            let cgroup = Bundle::cgroup(&spec)?;
            let program = inner.compile_out(&mut spec)?;
            bundle.write(&spec, &shim, program.as_deref())?;
            Ok(Written {
                warnings,
                bundle,
                cgroup,
            })
        })
        .await
    }

    /// Makes everything of the container but its program: namespaces, mounts, cgroup, init.
    ///
    /// Its network can be set up between this and [`Shim::start`]. On an error nothing is left.
    pub async fn create(&self, written: Written) -> Result<Shim, LaunchError> {
        let Written { bundle, cgroup, .. } = written;
        let directory = open_directory(&bundle)?;
        let mut connection = self.raise(&bundle)?;
        match connection.receive::<Reply>().await {
            Ok(Reply::Created { pid }) => {
                Ok(Shim::watched(bundle, directory, pid, cgroup, connection))
            }
            Ok(Reply::Failed(failure)) => Err(LaunchError::Start(failure)),
            Ok(other) => Err(LaunchError::Protocol {
                bundle: bundle.directory().to_owned(),
                answer: format!("{other:?}"),
            }),
            Err(_) => {
                let complaint = fs::read_to_string(bundle.stderr()).unwrap_or_default();
                let message = format!("the shim ended unexpectedly: {}", complaint.trim());
                blocking(move || cgroup.destroy()).await?;
                Err(StartFailure::setup(message).into())
            }
        }
    }

    /// Has a shim made; returns the connection to it.
    fn raise(&self, bundle: &Bundle) -> Result<Connection, LaunchError> {
        let raise = || -> io::Result<Connection> {
            let (own, theirs) = StdUnixStream::pair()?;
            own.set_nonblocking(true)?;
            self.0.nursery.raise(bundle.directory(), &theirs)?;
            Ok(Connection::over(UnixStream::from_std(own)?))
        };
        raise().map_err(|source| LaunchError::System {
            action: "start a shim",
            source,
        })
    }

    /// Finds what an earlier daemon left in `bundle`.
    ///
    /// When the shim was killed, this also removes what it could no longer remove: processes
    /// and control groups.
    pub async fn reconnect(&self, bundle: &Path) -> Result<Found, LaunchError> {
        let bundle = Bundle::at(bundle);
        if !bundle.directory().is_dir() {
            return Ok(Found::Gone);
        }
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(status) = bundle.exit_status()? {
                return Ok(Found::Exited(status));
            }
            let directory = open_directory(&bundle)?;
            match Connection::open(&directory).await {
                Ok(connection) => return meet(bundle, directory, connection).await,
                Err(source) => {
                    let action = "reach a shim";
                    let unreached = LaunchError::System { action, source };
                    // Says nothing about the shim, which must not be taken for dead.
                    if unreached.is_want() {
                        return Err(unreached);
                    }
                }
            }
            // Somebody lives there but does not listen yet.
            if is_locked(&bundle)? && Instant::now() < deadline {
                sleep(PAUSE_BETWEEN_LOOKS).await;
                continue;
            }
            return blocking(move || clear(&bundle)).await;
        }
    }

    /// The exit codes of execs that ended before init did, as the shim of `bundle` left them.
    pub async fn exec_codes(&self, bundle: &Path) -> Result<BTreeMap<String, i32>, LaunchError> {
        let bundle = Bundle::at(bundle);
        blocking(move || bundle.exec_codes()).await
    }
}

/// Asks a shim how its container is.
async fn meet(
    bundle: Bundle,
    directory: File,
    mut connection: Connection,
) -> Result<Found, LaunchError> {
    let cgroup = Bundle::cgroup(&bundle.spec()?)?;
    let reply = match connection.send(&Request::State).await {
        Ok(()) => connection.receive::<Reply>().await,
        Err(error) => Err(error),
    };
    match reply {
        Ok(Reply::State { pid, started }) => {
            let shim = Shim::watched(bundle, directory, pid, cgroup, connection);
            Ok(if started {
                Found::Running(shim)
            } else {
                Found::Created(shim)
            })
        }
        Ok(Reply::Exited(status)) => Ok(Found::Exited(status)),
        Ok(other) => Err(LaunchError::Protocol {
            bundle: bundle.directory().to_owned(),
            answer: format!("{other:?}"),
        }),
        // It ended between our connecting and our asking.
        Err(_) => blocking(move || Ok(Found::Exited(bury(&bundle, &cgroup)))).await,
    }
}

/// Removes what a dead shim left.
fn clear(bundle: &Bundle) -> Result<Found, LaunchError> {
    if let Some(status) = bundle.exit_status()? {
        return Ok(Found::Exited(status));
    }
    let cgroup = match bundle.spec() {
        Ok(spec) => Bundle::cgroup(&spec)?,
        // Not even a whole bundle: nothing was made of it.
        Err(_) => return Ok(Found::Gone),
    };
    // A shim that could not make the container takes its socket away.
    if bundle.socket().exists() {
        return Ok(Found::Exited(bury(bundle, &cgroup)));
    }
    cgroup.destroy()?;
    Ok(Found::Gone)
}

fn is_locked(bundle: &Bundle) -> Result<bool, LaunchError> {
    let failed = |source| LaunchError::File {
        action: "lock",
        path: bundle.lock(),
        source,
    };
    match File::open(bundle.lock()) {
        Ok(file) => Ok(!events::try_lock(&file).map_err(failed)?),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(failed(error)),
    }
}

fn open_directory(bundle: &Bundle) -> Result<File, LaunchError> {
    File::open(bundle.directory()).map_err(|source| LaunchError::File {
        action: "open",
        path: bundle.directory().to_owned(),
        source,
    })
}

/// Runs what waits for disks and the kernel where it may.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, LaunchError> + Send + 'static,
) -> Result<T, LaunchError> {
    match tokio::task::spawn_blocking(work).await {
        Ok(result) => result,
        Err(error) => Err(LaunchError::System {
            action: "finish a task",
            source: io::Error::other(error),
        }),
    }
}
