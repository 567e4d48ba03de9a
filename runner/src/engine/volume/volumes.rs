//! All volumes of this engine, their records and their directories.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::{Mutex, MutexGuard, PoisonError};

use jiff::Timestamp;
use rand::RngCore as _;
use serde::{Deserialize, Serialize};

use super::backing::{self, Backing};
use super::mounts::{self, Mounts};
use super::{CreateVolume, VolumeView};
use crate::engine::error::EngineError;
use crate::engine::paths::Paths;
use crate::spec::ContainerId;
use crate::store::{Records, StoreError, Survives};
use crate::sys::tree;

/// The label docker gives volumes that nobody named.
const ANONYMOUS_LABEL: &str = "com.docker.volume.anonymous";

/// What is kept on disk about a volume.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct VolumeRecord {
    pub(super) name: String,
    options: BTreeMap<String, String>,
    pub(super) labels: BTreeMap<String, String>,
    created_at: Timestamp,
    /// Its removal has begun; a crash must not bring half of its content back.
    #[serde(default)]
    removing: bool,
}

impl VolumeRecord {
    pub(super) fn backing(&self) -> Backing {
        Backing::of(&self.options)
    }

    /// Where its files are, for a file system of its own while that is mounted.
    pub(super) fn content(&self, paths: &Paths) -> PathBuf {
        match self.backing() {
            Backing::Bind(path) => path,
            Backing::Directory | Backing::FileSystem(_) => paths.volume_content(&self.name),
        }
    }

    pub(super) fn view(&self, paths: &Paths) -> VolumeView {
        VolumeView {
            name: self.name.clone(),
            driver: "local".to_owned(),
            mountpoint: self.content(paths),
            options: self.options.clone(),
            labels: self.labels.clone(),
            created_at: self.created_at,
            usage: None,
        }
    }

    pub(super) fn is_anonymous(&self) -> bool {
        self.labels.contains_key(ANONYMOUS_LABEL)
    }
}

/// All volumes, and which containers have them.
#[derive(Debug)]
pub(crate) struct Volumes {
    paths: Paths,
    records: Records<VolumeRecord>,
    inner: Mutex<Inner>,
    mounts: Mounts,
}

#[derive(Debug, Default)]
struct Inner {
    by_name: BTreeMap<String, VolumeRecord>,
    users: BTreeMap<String, BTreeSet<ContainerId>>,
}

impl Volumes {
    /// Reads the records, finishes removals that a crash interrupted.
    pub(crate) async fn open(paths: &Paths) -> Result<Self, StoreError> {
        let (records, found) =
            Records::<VolumeRecord>::open(&paths.records("volumes"), Survives::PowerLoss)?;
        let mut by_name = BTreeMap::new();
        for (name, record) in found {
            if record.removing {
                match remove_content(paths, &record).await {
                    Ok(()) => records.remove(&name).await?,
                    Err(error) => tracing::warn!(volume = name, %error, "half removed"),
                }
            } else {
                by_name.insert(name, record);
            }
        }
        Ok(Self {
            paths: paths.clone(),
            records,
            inner: Mutex::new(Inner {
                by_name,
                users: BTreeMap::new(),
            }),
            mounts: Mounts::default(),
        })
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes that a container has a volume, which keeps it from being removed. False when there
    /// is no such volume.
    pub(crate) fn hold(&self, name: &str, container: &ContainerId) -> bool {
        let mut inner = self.lock();
        let exists = inner
            .by_name
            .get(name)
            .is_some_and(|record| !record.removing);
        if exists {
            let users = inner.users.entry(name.to_owned()).or_default();
            users.insert(container.clone());
        }
        exists
    }

    /// The container has gone.
    pub(crate) fn release(&self, name: &str, container: &ContainerId) {
        let mut inner = self.lock();
        if let Some(users) = inner.users.get_mut(name) {
            users.remove(container);
            if users.is_empty() {
                inner.users.remove(name);
            }
        }
    }

    /// Makes a volume's files accessible to a container that is about to use them; nothing to do
    /// for all but volumes with a file system of their own.
    pub(crate) async fn mount(&self, name: &str, user: &ContainerId) -> Result<(), EngineError> {
        let record = self.get(name)?;
        let Backing::FileSystem(file_system) = record.backing() else {
            return Ok(());
        };
        let target = self.paths.volume_content(name);
        let mounted = self.mounts.mount(name, user, file_system, target).await;
        mounted.map_err(|error| {
            EngineError::Internal(format!(
                "failed to mount local volume: mount {}: {error}",
                record.options.get("device").map_or("", String::as_str)
            ))
        })
    }

    /// The container does not use the volume's files any more.
    pub(crate) async fn unmount(&self, name: &str, user: &ContainerId) {
        let Ok(record) = self.get(name) else {
            return;
        };
        if matches!(record.backing(), Backing::FileSystem(_)) {
            let target = self.paths.volume_content(name);
            if let Err(error) = self.mounts.unmount(name, user, target).await {
                tracing::warn!(volume = name, %error, "unmounting a volume");
            }
        }
    }

    /// Whether the volume's files can be reached now.
    pub(crate) fn is_reachable(&self, name: &str) -> bool {
        match self.get(name).map(|record| record.backing()) {
            Ok(Backing::FileSystem(_)) => mounts::is_mounted(&self.paths.volume_content(name)),
            Ok(Backing::Directory | Backing::Bind(_)) | Err(_) => true,
        }
    }

    /// Names of the volumes that a container has.
    pub(crate) fn held_by(&self, container: &ContainerId) -> Vec<String> {
        let inner = self.lock();
        let held = inner
            .users
            .iter()
            .filter(|(_, users)| users.contains(container));
        held.map(|(name, _)| name.clone()).collect()
    }

    pub(crate) fn is_anonymous(&self, name: &str) -> bool {
        self.lock()
            .by_name
            .get(name)
            .is_some_and(VolumeRecord::is_anonymous)
    }

    pub(super) fn get(&self, name: &str) -> Result<VolumeRecord, EngineError> {
        let inner = self.lock();
        let found = inner.by_name.get(name).filter(|record| !record.removing);
        found
            .cloned()
            .ok_or_else(|| EngineError::no_such_volume(name))
    }

    /// All volumes with the number of containers that have each.
    pub(super) fn all(&self) -> Vec<(VolumeRecord, usize)> {
        let inner = self.lock();
        let n_users = |name: &str| inner.users.get(name).map_or(0, BTreeSet::len);
        inner
            .by_name
            .values()
            .filter(|record| !record.removing)
            .map(|record| (record.clone(), n_users(&record.name)))
            .collect()
    }

    /// Marks a volume as going, unless a container has it.
    fn begin_removal(&self, name: &str) -> Result<VolumeRecord, EngineError> {
        let mut inner = self.lock();
        if let Some(users) = inner.users.get(name) {
            let ids: Vec<&str> = users.iter().map(ContainerId::as_str).collect();
            return Err(EngineError::Conflict(format!(
                "remove {name}: volume is in use - [{}]",
                ids.join(", ")
            )));
        }
        let record = inner
            .by_name
            .get_mut(name)
            .filter(|record| !record.removing)
            .ok_or_else(|| EngineError::no_such_volume(name))?;
        record.removing = true;
        Ok(record.clone())
    }

    pub(super) async fn remove(&self, name: &str) -> Result<(), EngineError> {
        let record = self.begin_removal(name)?;
        let result = async {
            self.records.put(name, &record).await.map_err(keeping)?;
            remove_content(&self.paths, &record)
                .await
                .map_err(|error| EngineError::internal("removing the volume's content", &error))?;
            self.records.remove(name).await.map_err(keeping)
        }
        .await;
        let mut inner = self.lock();
        if result.is_ok() {
            inner.by_name.remove(name);
        } else if let Some(record) = inner.by_name.get_mut(name) {
            // It can be tried again.
            record.removing = false;
        }
        result
    }

    /// The existing volume of that name, or a new one; and whether it is new.
    pub(super) async fn create(
        &self,
        request: CreateVolume,
    ) -> Result<(VolumeRecord, bool), EngineError> {
        backing::check(&request)?;
        let mut labels = request.labels;
        let name = if let Some(name) = request.name.filter(|name| !name.is_empty()) {
            check_name(&name)?;
            name
        } else {
            labels.insert(ANONYMOUS_LABEL.to_owned(), String::new());
            random_name()
        };
        let record = VolumeRecord {
            name: name.clone(),
            options: request.options,
            labels,
            created_at: Timestamp::now(),
            removing: false,
        };
        {
            let mut inner = self.lock();
            match inner.by_name.get(&name) {
                Some(existing) if existing.removing => {
                    return Err(EngineError::Conflict(format!(
                        "volume {name} is being removed"
                    )));
                }
                Some(existing) => return Ok((existing.clone(), false)),
                None => inner.by_name.insert(name.clone(), record.clone()),
            };
        }
        let made = self.make(&record).await;
        if let Err(error) = made {
            self.lock().by_name.remove(&name);
            return Err(error);
        }
        Ok((record, true))
    }

    async fn make(&self, record: &VolumeRecord) -> Result<(), EngineError> {
        self.records
            .put(&record.name, record)
            .await
            .map_err(keeping)?;
        if matches!(record.backing(), Backing::Bind(_)) {
            return Ok(());
        }
        let content = self.paths.volume_content(&record.name);
        tokio::fs::create_dir_all(&content)
            .await
            .map_err(|error| EngineError::internal("creating the volume's directory", &error))
    }
}

#[expect(
    clippy::needless_pass_by_value,
    reason = "made for `map_err`, which gives the error away"
)]
fn keeping(error: StoreError) -> EngineError {
    EngineError::internal("keeping the volume's record", &error)
}

async fn remove_content(paths: &Paths, record: &VolumeRecord) -> std::io::Result<()> {
    if matches!(record.backing(), Backing::FileSystem(_)) {
        // Its files are not ours to remove: they may be another machine's.
        mounts::unmount(&paths.volume_content(&record.name)).await?;
    }
    let volume = paths.volume(&record.name);
    tree::remove(&volume).await
}

fn random_name() -> String {
    let mut bytes = [0_u8; 32];
    rand::rng().fill_bytes(&mut bytes);
    hex::encode(bytes)
}

fn check_name(name: &str) -> Result<(), EngineError> {
    let inner = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'.' | b'-');
    let bytes = name.as_bytes();
    if bytes.len() >= 2
        && bytes.len() <= 200
        && bytes[0].is_ascii_alphanumeric()
        && bytes.iter().all(|&b| inner(b))
    {
        return Ok(());
    }
    Err(EngineError::InvalidParameter(format!(
        "create {name}: \"{name}\" includes invalid characters for a local volume name, only \
         \"[a-zA-Z0-9][a-zA-Z0-9_.-]\" are allowed. If you intended to pass a host directory, use \
         absolute path"
    )))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn used_volumes_stay_and_records_outlive_the_engine() {
        let dir = tempfile::tempdir().unwrap();
        let paths = Paths::new(dir.path().join("data"), dir.path().join("run"));
        let volumes = Volumes::open(&paths).await.unwrap();
        let named = |name: &str| CreateVolume {
            name: Some(name.to_owned()),
            ..CreateVolume::default()
        };
        let (record, is_new) = volumes.create(named("data")).await.unwrap();
        assert!(is_new && record.content(&paths).is_dir());
        assert!(!volumes.create(named("data")).await.unwrap().1);

        let container = ContainerId::random();
        assert!(volumes.hold("data", &container));
        assert!(matches!(
            volumes.remove("data").await,
            Err(EngineError::Conflict(_))
        ));

        drop(volumes);
        let volumes = Volumes::open(&paths).await.unwrap();
        assert_eq!(volumes.all().len(), 1);
        volumes.remove("data").await.unwrap();
        assert!(!paths.volume("data").exists());
        assert!(Volumes::open(&paths).await.unwrap().all().is_empty());
    }

    #[tokio::test]
    async fn interrupted_removals_are_finished() {
        let dir = tempfile::tempdir().unwrap();
        let paths = Paths::new(dir.path().join("data"), dir.path().join("run"));
        let volumes = Volumes::open(&paths).await.unwrap();
        let (mut record, _) = volumes.create(CreateVolume::default()).await.unwrap();
        assert!(record.is_anonymous());
        record.removing = true;
        volumes.records.put(&record.name, &record).await.unwrap();
        let volumes = Volumes::open(&paths).await.unwrap();
        assert!(volumes.all().is_empty());
        assert!(!paths.volume(&record.name).exists());
    }

    #[test]
    fn names_are_checked() {
        for bad in ["", "a", "/abs", "a b", "-x"] {
            assert!(check_name(bad).is_err(), "{bad}");
        }
    }
}
