//! Reading and writing the files of a control group directory.

use std::fs;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use crate::launch::LaunchError;

/// One directory of a control group file system.
#[derive(Debug, Clone, Copy)]
pub(super) struct Directory<'a>(pub(super) &'a Path);

impl Directory<'_> {
    pub(super) fn has(self, file: &str) -> bool {
        self.0.join(file).exists()
    }

    pub(super) fn write(self, file: &str, value: &str) -> Result<(), LaunchError> {
        let path = self.0.join(file);
        fs::OpenOptions::new()
            .write(true)
            .open(&path)
            .and_then(|mut open| open.write_all(value.as_bytes()))
            .map_err(|source| LaunchError::Cgroup {
                action: format!("write {value:?} to"),
                path,
                source,
            })
    }

    pub(super) fn read(self, file: &str) -> Result<String, LaunchError> {
        let path = self.0.join(file);
        fs::read_to_string(&path).map_err(|source| LaunchError::Cgroup {
            action: "read".to_owned(),
            path,
            source,
        })
    }

    /// A number, or `None` for `max` and for the huge values by which v1 says so.
    pub(super) fn read_limit(self, file: &str) -> Option<u64> {
        let value: u64 = self.read(file).ok()?.trim().parse().ok()?;
        (value < 0x7fff_ffff_0000_0000).then_some(value)
    }

    pub(super) fn read_number(self, file: &str) -> u64 {
        let text = self.read(file).unwrap_or_default();
        text.trim().parse().unwrap_or(0)
    }

    /// The value after `key` in a file of `key value` lines.
    pub(super) fn read_key(self, file: &str, key: &str) -> u64 {
        let text = self.read(file).unwrap_or_default();
        key_values(&text)
            .find(|(name, _)| *name == key)
            .map_or(0, |(_, value)| value)
    }

    /// The directories below, deepest first, and this one last.
    pub(super) fn tree(self) -> Vec<PathBuf> {
        let mut found = Vec::new();
        for entry in fs::read_dir(self.0).into_iter().flatten().flatten() {
            if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                found.extend(Directory(&entry.path()).tree());
            }
        }
        found.push(self.0.to_owned());
        found
    }
}

/// The lines `key value` of a text.
pub(super) fn key_values(text: &str) -> impl Iterator<Item = (&str, u64)> {
    text.lines().filter_map(|line| {
        let (key, value) = line.split_once(' ')?;
        Some((key, value.trim().parse().ok()?))
    })
}

/// Makes a directory; it may be there already.
pub(super) fn create(path: &Path) -> Result<(), LaunchError> {
    match fs::create_dir(path) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(LaunchError::Cgroup {
            action: "create".to_owned(),
            path: path.to_owned(),
            source: error,
        }),
        _ => Ok(()),
    }
}

/// Removes a directory; it may be gone already. `false` while a process or a group is in it.
pub(super) fn remove(path: &Path) -> Result<bool, LaunchError> {
    match fs::remove_dir(path) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::ResourceBusy => Ok(false),
        Err(error) => Err(LaunchError::Cgroup {
            action: "remove".to_owned(),
            path: path.to_owned(),
            source: error,
        }),
    }
}
