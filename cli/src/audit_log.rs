//! The file that audit records go to, one JSON object a line.
//!
//! Whoever rotates it renames it away: the next record makes a new one.

use std::fs::File;
use std::io::{self, Write};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::Context as _;
use hythe_server::config::AUDIT_TARGET;
use tracing::{Level, Subscriber};
use tracing_subscriber::filter::Targets;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::Layer;
use tracing_subscriber::registry::LookupSpan;

/// Who did what is for those who run the registry, not for everybody on the machine.
const MODE: u32 = 0o640;

/// The file, open for adding to its end; cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct AuditLog(Arc<Mutex<Inner>>);

#[derive(Debug)]
struct Inner {
    path: PathBuf,
    file: File,
}

impl AuditLog {
    /// Opens it, and makes it when there is none: a registry that could not keep its records does
    /// not start.
    pub(crate) fn open(path: &Path) -> anyhow::Result<Self> {
        let file = open(path)
            .with_context(|| format!("audit records cannot be written to {}", path.display()))?;
        let path = path.to_owned();
        Ok(Self(Arc::new(Mutex::new(Inner { path, file }))))
    }

    /// What sends audit records there, and nothing else, whatever the level of the log is.
    pub(crate) fn layer<S>(self) -> impl Layer<S> + use<S>
    where
        S: Subscriber + for<'span> LookupSpan<'span>,
    {
        tracing_subscriber::fmt::layer()
            .json()
            .flatten_event(true)
            .with_level(false)
            .with_writer(self)
            .with_filter(Targets::new().with_target(AUDIT_TARGET, Level::INFO))
    }
}

fn open(path: &Path) -> io::Result<File> {
    File::options()
        .append(true)
        .create(true)
        .mode(MODE)
        .open(path)
}

impl Inner {
    /// The file that has the name now.
    fn current(&mut self) -> &mut File {
        let named = std::fs::metadata(&self.path).ok();
        let is_same = named
            .zip(self.file.metadata().ok())
            .is_some_and(|(named, ours)| (named.dev(), named.ino()) == (ours.dev(), ours.ino()));
        // Where none can be made, the one that was renamed away still takes records.
        if !is_same && let Ok(file) = open(&self.path) {
            self.file = file;
        }
        &mut self.file
    }
}

impl<'a> MakeWriter<'a> for AuditLog {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}

impl Write for AuditLog {
    /// A line comes whole, and goes out in one piece: a replica may add to the same file.
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        let mut inner = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        inner.current().write_all(line)?;
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tracing_subscriber::layer::SubscriberExt as _;

    #[test]
    fn records_go_to_the_file_that_has_the_name() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("audit.log");
        let log = AuditLog::open(&path).unwrap();
        let subscriber = tracing_subscriber::registry().with(log.layer());
        tracing::subscriber::with_default(subscriber, || {
            tracing::info!("not one of them");
            tracing::info!(target: AUDIT_TARGET, actor = "al\nice", "audit");
            std::fs::rename(&path, directory.path().join("audit.log.1")).unwrap();
            tracing::info!(target: AUDIT_TARGET, actor = "bob", "audit");
        });
        for (name, actor) in [("audit.log.1", "al\nice"), ("audit.log", "bob")] {
            let text = std::fs::read_to_string(directory.path().join(name)).unwrap();
            let lines: Vec<serde_json::Value> = text
                .lines()
                .map(|line| serde_json::from_str(line).unwrap())
                .collect();
            assert_eq!(lines.len(), 1, "{text}");
            assert_eq!(lines[0]["actor"], actor);
        }
        assert!(AuditLog::open(&directory.path().join("no/such/audit.log")).is_err());
    }
}
