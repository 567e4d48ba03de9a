//! `Records<T>`: a directory of JSON files, one per key.

use std::fs;
use std::io;
use std::marker::PhantomData;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::sys::durable;

/// Why a record could not be kept or read.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// Keys become file names, so they are `[a-zA-Z0-9_.-]`, 1 to 200 characters, no leading dot.
    #[error("{0:?} cannot name a record")]
    BadKey(String),
    #[error("{doing} {}", path.display())]
    Disk {
        doing: &'static str,
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error("record {key} cannot be written as JSON")]
    Encode {
        key: String,
        #[source]
        source: serde_json::Error,
    },
    #[error("the writer of record {0} was cancelled")]
    Cancelled(String),
}

impl StoreError {
    fn disk(doing: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Disk {
            doing,
            path,
            source,
        }
    }
}

/// What a change of a record survives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Survives {
    /// The loss of power: it is on the disk before it is acknowledged.
    PowerLoss,
    /// The end of this process only: for what ends with the machine anyhow, as syncing takes
    /// longer than everything else about a small container.
    Restart,
}

/// A directory of records of one kind. Cheap to clone.
///
/// Writers of the same key must wait for each other; different keys are independent.
#[derive(Debug)]
pub struct Records<T> {
    dir: Arc<Path>,
    survives: Survives,
    kind: PhantomData<fn(T) -> T>,
}

impl<T> Clone for Records<T> {
    fn clone(&self) -> Self {
        Self {
            dir: Arc::clone(&self.dir),
            survives: self.survives,
            kind: PhantomData,
        }
    }
}

const SUFFIX: &str = ".json";

impl<T: Serialize + DeserializeOwned> Records<T> {
    /// Opens the directory, creating it when missing, and reads what is there, sorted by key.
    ///
    /// A file that cannot be read as a record is renamed to `NAME.json.damaged` with a warning:
    /// one bad record must not keep the agent, and every other container, from coming back. An
    /// empty one goes: that is what a power loss leaves of a record that was not to survive it.
    pub fn open(dir: &Path, survives: Survives) -> Result<(Self, Vec<(String, T)>), StoreError> {
        durable::create_private_dir(dir).map_err(StoreError::disk("create", dir))?;
        let mut records = Vec::new();
        for entry in fs::read_dir(dir).map_err(StoreError::disk("list", dir))? {
            let path = entry.map_err(StoreError::disk("list", dir))?.path();
            let Some(name) = path.file_name().and_then(|name| name.to_str()) else {
                continue;
            };
            if durable::is_temporary(name) {
                fs::remove_file(&path).map_err(StoreError::disk("remove", &path))?;
            } else if let Some(key) = name.strip_suffix(SUFFIX)
                && let Some(record) = read_or_set_aside(&path)?
            {
                records.push((key.to_owned(), record));
            }
        }
        records.sort_by(|a, b| a.0.cmp(&b.0));
        let opened = Self {
            dir: dir.into(),
            survives,
            kind: PhantomData,
        };
        Ok((opened, records))
    }

    /// Writes the record; when this returns it survives what records here do.
    pub async fn put(&self, key: &str, record: &T) -> Result<(), StoreError> {
        let survives = self.survives;
        let path = self.path(key)?;
        let bytes = serde_json::to_vec_pretty(record).map_err(|source| StoreError::Encode {
            key: key.to_owned(),
            source,
        })?;
        blocking(key, move || {
            match survives {
                Survives::PowerLoss => durable::replace_file(&path, &bytes),
                Survives::Restart => durable::replace_file_unsynced(&path, &bytes),
            }
            .map_err(StoreError::disk("write", &path))
        })
        .await
    }

    /// Removes the record. Removing what is not there is no error: cleaning up twice is normal.
    pub async fn remove(&self, key: &str) -> Result<(), StoreError> {
        self.remove_so_that(key, self.survives).await
    }

    /// Removes a record that may be there again after a power loss.
    pub async fn remove_unsynced(&self, key: &str) -> Result<(), StoreError> {
        self.remove_so_that(key, Survives::Restart).await
    }

    async fn remove_so_that(&self, key: &str, survives: Survives) -> Result<(), StoreError> {
        let path = self.path(key)?;
        blocking(key, move || {
            match survives {
                Survives::PowerLoss => durable::remove_file(&path),
                Survives::Restart => durable::remove_file_unsynced(&path).map(drop),
            }
            .map_err(StoreError::disk("remove", &path))
        })
        .await
    }

    fn path(&self, key: &str) -> Result<PathBuf, StoreError> {
        let allowed = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'.' | b'-');
        if key.is_empty() || key.len() > 200 || key.starts_with('.') || !key.bytes().all(allowed) {
            return Err(StoreError::BadKey(key.to_owned()));
        }
        Ok(self.dir.join(format!("{key}{SUFFIX}")))
    }
}

/// Records of one kind in two directories: those that survive a power loss, and those that end
/// with the machine, in a directory that does so too.
#[derive(Debug)]
pub struct SplitRecords<T> {
    lasting: Records<T>,
    passing: Records<T>,
}

/// A record with its key and what it survives.
type Found<T> = (String, T, Survives);

impl<T: Serialize + DeserializeOwned> SplitRecords<T> {
    /// Opens both directories, as [`Records::open`] does, and says which each record was in.
    pub fn open(lasting: &Path, passing: &Path) -> Result<(Self, Vec<Found<T>>), StoreError> {
        let (lasting, kept) = Records::open(lasting, Survives::PowerLoss)?;
        let (passing, left) = Records::open(passing, Survives::Restart)?;
        let with = |survives| move |(key, record)| (key, record, survives);
        let kept = kept.into_iter().map(with(Survives::PowerLoss));
        let left = left.into_iter().map(with(Survives::Restart));
        Ok((Self { lasting, passing }, kept.chain(left).collect()))
    }

    /// Those that survive just that.
    pub fn that(&self, survives: Survives) -> &Records<T> {
        match survives {
            Survives::PowerLoss => &self.lasting,
            Survives::Restart => &self.passing,
        }
    }
}

async fn blocking<R: Send + 'static>(
    key: &str,
    work: impl FnOnce() -> Result<R, StoreError> + Send + 'static,
) -> Result<R, StoreError> {
    tokio::task::spawn_blocking(work)
        .await
        .map_err(|_| StoreError::Cancelled(key.to_owned()))?
}

fn read_or_set_aside<T: DeserializeOwned>(path: &Path) -> Result<Option<T>, StoreError> {
    let bytes = fs::read(path).map_err(StoreError::disk("read", path))?;
    if bytes.is_empty() {
        tracing::warn!(path = %path.display(), "an empty record was removed");
        fs::remove_file(path).map_err(StoreError::disk("remove", path))?;
        return Ok(None);
    }
    match serde_json::from_slice(&bytes) {
        Ok(record) => Ok(Some(record)),
        Err(error) => {
            let mut aside = path.as_os_str().to_owned();
            aside.push(".damaged");
            let aside = PathBuf::from(aside);
            tracing::warn!(
                path = %path.display(),
                moved_to = %aside.display(),
                %error,
                "a record is damaged and was set aside"
            );
            fs::rename(path, &aside).map_err(StoreError::disk("set aside", path))?;
            Ok(None)
        }
    }
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::*;

    #[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
    struct Ship {
        name: String,
        tons: u32,
    }

    fn ship(tons: u32) -> Ship {
        Ship {
            name: "Hythe".to_owned(),
            tons,
        }
    }

    #[tokio::test]
    async fn what_was_put_is_there_after_opening_again() {
        let dir = tempfile::tempdir().unwrap();
        let ships = dir.path().join("ships");
        let (records, found) = Records::<Ship>::open(&ships, Survives::PowerLoss).unwrap();
        assert!(found.is_empty());
        records.put("b", &ship(1)).await.unwrap();
        records.put("a", &ship(2)).await.unwrap();
        records.put("b", &ship(3)).await.unwrap();
        records.put("gone", &ship(4)).await.unwrap();
        records.remove("gone").await.unwrap();
        records.remove("gone").await.unwrap();
        let (light, _) = Records::<Ship>::open(&ships, Survives::Restart).unwrap();
        for key in ["c", "lost", "unsynced"] {
            light.put(key, &ship(5)).await.unwrap();
        }
        light.remove("lost").await.unwrap();
        light.remove("lost").await.unwrap();
        records.remove_unsynced("unsynced").await.unwrap();
        let (_, found) = Records::<Ship>::open(&ships, Survives::PowerLoss).unwrap();
        assert_eq!(
            found,
            [("a", 2), ("b", 3), ("c", 5)].map(|(key, tons)| (key.to_owned(), ship(tons)))
        );
    }

    #[tokio::test]
    async fn each_record_is_where_what_it_is_about_would_be() {
        let dir = tempfile::tempdir().unwrap();
        let [lasting, passing] = ["lasting", "passing"].map(|name| dir.path().join(name));
        let (records, found) = SplitRecords::<Ship>::open(&lasting, &passing).unwrap();
        assert!(found.is_empty());
        let (ferry, raft) = (Survives::PowerLoss, Survives::Restart);
        records.that(ferry).put("ferry", &ship(1)).await.unwrap();
        records.that(raft).put("raft", &ship(2)).await.unwrap();
        let (_, found) = SplitRecords::open(&lasting, &passing).unwrap();
        let expected = [("ferry", 1, ferry), ("raft", 2, raft)];
        assert_eq!(
            found,
            expected.map(|(key, tons, survives)| (key.to_owned(), ship(tons), survives))
        );
        fs::remove_dir_all(&passing).unwrap();
        let (_, found) = SplitRecords::open(&lasting, &passing).unwrap();
        assert_eq!(found, [("ferry".to_owned(), ship(1), ferry)]);
    }

    #[tokio::test]
    async fn a_damaged_record_is_set_aside_and_the_others_are_read() {
        let dir = tempfile::tempdir().unwrap();
        let (records, _) = Records::open(dir.path(), Survives::PowerLoss).unwrap();
        records.put("good", &ship(1)).await.unwrap();
        for (name, content) in [("cut.json", "{\"name\":"), ("empty.json", "")] {
            fs::write(dir.path().join(name), content).unwrap();
        }
        fs::write(dir.path().join(".good.json.123.tmp"), "half").unwrap();
        let (_, found) = Records::<Ship>::open(dir.path(), Survives::PowerLoss).unwrap();
        assert_eq!(found, [("good".to_owned(), ship(1))]);
        let mut names: Vec<_> = fs::read_dir(dir.path())
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        assert_eq!(
            names,
            ["cut.json.damaged", "good.json"],
            "what was never written whole is no damage"
        );
    }

    #[tokio::test]
    async fn keys_that_are_no_file_names_are_refused() {
        let dir = tempfile::tempdir().unwrap();
        let (records, _) = Records::open(dir.path(), Survives::PowerLoss).unwrap();
        for key in [
            "",
            ".",
            "..",
            "a/b",
            ".hidden",
            "a\0b",
            "é",
            &"x".repeat(201),
        ] {
            let refused = records.put(key, &ship(1)).await;
            assert!(matches!(refused, Err(StoreError::BadKey(_))), "{key:?}");
        }
    }
}
