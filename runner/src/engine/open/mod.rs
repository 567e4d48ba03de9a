//! Opening the engine: what an earlier agent left is found again and brought in line with the
//! kernel, wherever a crash may have interrupted it.
//!
//! | the record says | the shim says | what is done |
//! | --- | --- | --- |
//! | running, paused | it runs | watched over again |
//! | running, paused | it has ended, or nothing | its exit is settled; the policy decides |
//! | created, exited, restarting | it runs | a start that was not told; watched over |
//! | created, exited, restarting | it waits for its start | killed and cleaned away |
//! | restarting | nothing | started by policy |
//! | removing | anything | the removal is finished |
//! | exited, and removes itself | nothing | removed |

mod settle;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use futures_util::stream::{self, StreamExt as _, TryStreamExt as _};
use hythe_oci::client::{Client, ClientConfig, ClientError};

use super::container::{Container, Record, ResolvedMount, Table};
use super::error::chain;
use super::events::EventHub;
use super::exec::Execs;
use super::paths::Paths;
use super::volume::Volumes;
use super::{Engine, EngineSettings, RegistrySettings, Shared};
use crate::engine::userns::{IdMappingError, IdMappings};
use crate::image::unpack::Limits;
use crate::image::{ImageError, ImageOptions, ImageStore};
use crate::launch;
use crate::launch::{Cgroup, Found, LaunchError, Launcher};
use crate::network::{Netns, NetworkError, NetworkSpec, Networks, RestoredEndpoint};
use crate::spec::ContainerState;
use crate::store::{Records, SplitRecords, StoreError, Survives};
use crate::sys::{durable, tree};

/// Shims asked at the same time.
const N_AT_ONCE: usize = 16;

/// Why the engine could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    #[error("cannot {doing} {}", path.display())]
    Disk {
        doing: &'static str,
        path: std::path::PathBuf,
        #[source]
        source: std::io::Error,
    },
    #[error("cannot read the records")]
    Records(#[from] StoreError),
    #[error("cannot open the images")]
    Images(#[from] ImageError),
    #[error("cannot set up the launcher")]
    Launch(#[from] LaunchError),
    #[error("cannot find out which containers still run")]
    Unreached(#[source] LaunchError),
    #[error("cannot set up the networks")]
    Network(#[from] NetworkError),
    #[error("registry mirror {0:?} is no URL")]
    Mirror(String),
    #[error(transparent)]
    IdMappings(#[from] IdMappingError),
    #[error("cannot use the settings of registries")]
    Registries(#[from] ClientError),
}

fn disk(doing: &'static str, path: &Path) -> impl FnOnce(std::io::Error) -> OpenError {
    let path = path.to_owned();
    move |source| OpenError::Disk {
        doing,
        path,
        source,
    }
}

fn id_mappings(settings: &EngineSettings) -> Result<Option<IdMappings>, IdMappingError> {
    let Some(remap) = &settings.userns_remap else {
        return Ok(None);
    };
    if !launch::maps_owners_of_layers() {
        return Err(IdMappingError::Kernel);
    }
    IdMappings::of(remap).map(Some)
}

/// A container with what was found behind its bundle.
struct Restored {
    container: Arc<Container>,
    found: Found,
}

impl Engine {
    /// Opens everything, reconnects to what runs, finishes what was interrupted.
    pub async fn open(settings: EngineSettings) -> Result<Self, OpenError> {
        let paths = Paths::new(settings.data_root.clone(), settings.exec_root.clone());
        prepare_directories(&paths).await?;
        let id = engine_id(&paths)?;
        let id_mappings = id_mappings(&settings)?;
        let client = registry_client(&settings.registry)?;
        let images = ImageStore::open(image_options(&settings, &paths), client.clone()).await?;
        let launcher = Launcher::new(&paths.shims())?;
        let (lasting, passing) = (paths.records("containers"), paths.passing_containers());
        let (records, found) = SplitRecords::<Record>::open(&lasting, &passing)?;
        let containers = Table::default();
        let mut restored = Vec::new();
        for (_, record, survives) in found {
            // The name of one that is being removed may be another's by now.
            if record.state != ContainerState::Removing
                && let Err(error) = containers.reserve_name(&record.name, &record.id)
            {
                tracing::error!(container.id = %record.id, %error, "two containers of one name");
            }
            let container = Container::new(record, records.that(survives).clone());
            containers.insert(Arc::clone(&container));
            restored.push(container);
        }
        let restored = reconnect(&launcher, &paths, restored).await?;
        let (network_records, networks) = open_networks(&settings, &paths, &restored).await?;
        let volumes = Volumes::open(&paths).await?;
        let execs = Execs::open(&paths.execs())?;
        let engine = Self {
            shared: Arc::new(Shared {
                settings,
                id,
                id_mappings,
                paths,
                containers,
                records,
                execs,
                volumes,
                networks,
                network_records,
                images,
                registry_client: client,
                launcher,
                events: EventHub::default(),
            }),
        };
        engine.hold_volumes(&restored);
        for Restored { container, found } in &restored {
            engine.restore_execs(container, found).await;
        }
        for one in restored {
            engine.settle(one).await;
        }
        engine.sweep().await;
        if let Err(error) = engine.clear_builds().await {
            tracing::warn!(%error, "builds of an earlier agent");
        }
        Ok(engine)
    }

    /// Lets go of what an agent that does not run need not keep. Containers stay.
    pub fn close(&self) {
        let parent = Path::new(&self.shared.settings.cgroup_parent);
        let own = Path::new("/").join(&self.shared.settings.network.instance);
        // One that somebody else made for us is theirs.
        if parent == own
            && let Ok(group) = Cgroup::at(parent)
        {
            group.remove_if_empty();
        }
    }

    fn hold_volumes(&self, restored: &[Restored]) {
        for Restored { container, .. } in restored {
            let record = container.record();
            let named = |mount: &&ResolvedMount| !mount.view.name.is_empty();
            // Of one that is being removed they may be gone already.
            let is_kept = record.state != ContainerState::Removing;
            for mount in record.mounts.iter().filter(|_| is_kept).filter(named) {
                if !self.shared.volumes.hold(&mount.view.name, &record.id) {
                    tracing::warn!(container.id = %record.id, volume = mount.view.name, "lost");
                }
            }
        }
    }
}

/// Makes the two roots, and throws away what belongs to an earlier boot.
async fn prepare_directories(paths: &Paths) -> Result<(), OpenError> {
    for path in [
        paths.data(),
        &paths.containers(),
        &paths.volumes(),
        paths.exec_root(),
    ] {
        durable::create_private_dir(path).map_err(disk("create", path))?;
    }
    let boot_id = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
    let kept = std::fs::read_to_string(paths.boot_id()).unwrap_or_default();
    if kept != boot_id {
        let passing = [paths.passing_containers(), paths.passing_snapshots()];
        for stale in [paths.shims(), paths.execs()].into_iter().chain(passing) {
            tree::remove(&stale).await.map_err(disk("remove", &stale))?;
        }
        let path = paths.boot_id();
        std::fs::write(&path, boot_id).map_err(disk("write", &path))?;
    }
    Ok(())
}

/// Who this engine is; invented at its first start.
fn engine_id(paths: &Paths) -> Result<String, OpenError> {
    let path = paths.engine_id();
    match std::fs::read_to_string(&path) {
        Ok(text) if !text.trim().is_empty() => Ok(text.trim().to_owned()),
        _ => {
            let id = uuid::Uuid::new_v4().to_string();
            durable::replace_file(&path, id.as_bytes()).map_err(disk("write", &path))?;
            Ok(id)
        }
    }
}

fn registry_client(settings: &RegistrySettings) -> Result<Client, OpenError> {
    let mut mirrors: BTreeMap<String, Vec<_>> = BTreeMap::new();
    for text in &settings.mirrors {
        // A URL may hold the sign as well, but not before its scheme.
        let (host, url) = match text.split_once('=') {
            Some((host, url)) if !host.contains('/') => (host, url),
            _ => ("docker.io", text.as_str()),
        };
        let url = url.parse().map_err(|_| OpenError::Mirror(text.clone()))?;
        mirrors.entry(host.to_owned()).or_default().push(url);
    }
    Ok(Client::new(ClientConfig {
        insecure_registries: settings.insecure.clone(),
        mirrors,
        ..ClientConfig::default()
    })?)
}

fn image_options(settings: &EngineSettings, paths: &Paths) -> ImageOptions {
    ImageOptions {
        root: paths.images(),
        passing: paths.passing_snapshots(),
        concurrent_downloads: settings.registry.max_concurrent_downloads,
        concurrent_uploads: settings.registry.max_concurrent_uploads,
        limits: Limits {
            layer_bytes: settings.registry.max_layer_bytes,
            ..Limits::default()
        },
        default_registry: settings.registry.default_registry.clone(),
        neighbour: settings.neighbour.clone(),
    }
}

/// Asks behind every bundle. An agent that cannot ask must not decide what lives.
async fn reconnect(
    launcher: &Launcher,
    paths: &Paths,
    containers: Vec<Arc<Container>>,
) -> Result<Vec<Restored>, OpenError> {
    stream::iter(containers)
        .map(async |container| {
            let bundle = paths.bundle(container.id());
            let found = match launcher.reconnect(&bundle).await {
                Ok(found) => found,
                Err(error) if error.is_want() => return Err(OpenError::Unreached(error)),
                Err(error) => {
                    let id = container.id();
                    tracing::error!(container.id = %id, error = chain(&error), "lost its shim");
                    Found::Gone
                }
            };
            Ok(Restored { container, found })
        })
        .buffer_unordered(N_AT_ONCE)
        .try_collect()
        .await
}

/// Opens the networks with the endpoints of everything that lives.
async fn open_networks(
    settings: &EngineSettings,
    paths: &Paths,
    restored: &[Restored],
) -> Result<(Records<NetworkSpec>, Networks), OpenError> {
    let (records, known) =
        Records::<NetworkSpec>::open(&paths.records("networks"), Survives::PowerLoss)?;
    let known: Vec<NetworkSpec> = known.into_iter().map(|(_, network)| network).collect();
    let mut endpoints = Vec::new();
    for Restored { container, found } in restored {
        let Found::Running(shim) = found else {
            continue;
        };
        let Ok(netns) = Netns::of_process(shim.init_pid()) else {
            continue;
        };
        for endpoint in container.record().endpoints() {
            endpoints.push(RestoredEndpoint {
                endpoint: endpoint.clone(),
                netns: netns.clone(),
            });
        }
    }
    let opened = Networks::open(settings.network.clone(), known.clone(), endpoints).await?;
    let (networks, failures) = opened;
    for failure in failures {
        tracing::warn!(error = chain(&failure), "restoring networks");
    }
    for network in networks.list() {
        if !known.contains(&network) {
            records.put(network.id.as_str(), &network).await?;
        }
    }
    Ok((records, networks))
}
