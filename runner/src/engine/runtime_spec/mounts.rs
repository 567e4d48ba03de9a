//! What is mounted in a container, in the order in which it has to be.

use std::path::{Path, PathBuf};

use oci_spec::runtime::Mount;

use super::{NamespaceSource, Record, Surroundings, has_own_shm};
use crate::engine::container::{MountKind, ResolvedMount};
use crate::launch::defaults;
use crate::spec::{IpcMode, Propagation, Submounts};

/// Docker's file systems, the three files of `/etc`, then the caller's mounts, outer before
/// inner. A mount of the caller replaces one of ours at the same place.
pub(super) fn mounts(record: &Record, around: &Surroundings) -> Vec<Mount> {
    let host = &record.host;
    let shm_size = host.shm_size_bytes.unwrap_or(around.default_shm_size_bytes);
    let covered = |destination: &Path| {
        let same = |mount: &ResolvedMount| Path::new(&mount.view.destination) == destination;
        record.mounts.iter().any(same)
    };
    let mut mounts: Vec<Mount> = defaults::mounts(shm_size, host.privileged)
        .into_iter()
        .filter_map(|mount| adapt(mount, &host.ipc_mode, around))
        .collect();
    let is_mapped = around.id_mappings.is_some();
    for (source, destination) in &around.etc_files {
        // Writable: programs such as resolvconf rewrite them in place, as with docker.
        let mut file = bind(source.clone(), destination, &["rbind", "rprivate"]);
        if is_mapped {
            map_owners(&mut file);
        }
        mounts.push(file);
    }
    mounts.retain(|mount| !covered(mount.destination()));
    let mut own: Vec<&ResolvedMount> = record.mounts.iter().collect();
    own.sort_by_key(|mount| Path::new(&mount.view.destination).components().count());
    mounts.extend(own.into_iter().map(|mount| {
        let mut made = user_mount(mount);
        // What is ours is the container's; a folder of the host keeps the host's owners, or a
        // container's root could leave files of the host's root there.
        if is_mapped && mount.view.kind == MountKind::Volume {
            map_owners(&mut made);
        }
        made
    }));
    mounts
}

/// Fits a default mount to namespaces that are not the container's own.
fn adapt(mount: Mount, ipc: &IpcMode, around: &Surroundings) -> Option<Mount> {
    let destination = mount.destination().clone();
    match destination.to_str() {
        Some("/dev/shm") if *ipc == IpcMode::Host => {
            Some(bind("/dev/shm".into(), "/dev/shm", &["rbind", "rprivate"]))
        }
        Some("/dev/shm") if !has_own_shm(ipc) => None,
        // A queue file system shows the namespace of whoever mounts it; the host's is bound.
        Some("/dev/mqueue") if *ipc == IpcMode::Host => {
            let on_host = Path::new("/dev/mqueue");
            let options = ["rbind", "rprivate"];
            on_host
                .exists()
                .then(|| bind(on_host.into(), "/dev/mqueue", &options))
        }
        // sysfs can be mounted only by the owner of the network namespace; a bind always works.
        Some("/sys")
            if around.network == NamespaceSource::Host
                || (around.id_mappings.is_some() && around.network != NamespaceSource::Own) =>
        {
            Some(bind(
                "/sys".into(),
                "/sys",
                &["rbind", "nosuid", "noexec", "nodev", "ro"],
            ))
        }
        _ => Some(mount),
    }
}

/// Owners of files are to be those that the container knows.
fn map_owners(mount: &mut Mount) {
    let mut options = mount.options().clone().unwrap_or_default();
    options.push("idmap".to_owned());
    mount.set_options(Some(options));
}

fn bind(source: PathBuf, destination: &str, options: &[&str]) -> Mount {
    let mut mount = Mount::default();
    mount
        .set_source(Some(source))
        .set_destination(destination.into())
        .set_typ(Some("bind".to_owned()))
        .set_options(Some(
            options.iter().map(|option| (*option).to_owned()).collect(),
        ));
    mount
}

fn user_mount(mount: &ResolvedMount) -> Mount {
    let view = &mount.view;
    if view.kind == MountKind::Tmpfs {
        let mut options: Vec<String> = ["noexec", "nosuid", "nodev"].map(str::to_owned).to_vec();
        options.extend(mount.tmpfs_options.iter().cloned());
        if !view.read_write {
            options.push("ro".to_owned());
        }
        let mut tmpfs = Mount::default();
        tmpfs
            .set_source(Some("tmpfs".into()))
            .set_destination(view.destination.clone().into())
            .set_typ(Some("tmpfs".to_owned()))
            .set_options(Some(options));
        return tmpfs;
    }
    let depth = match mount.submounts {
        Submounts::Excluded => "bind",
        Submounts::Follow | Submounts::Writable | Submounts::ReadOnly => "rbind",
    };
    let read_mode = match (view.read_write, mount.submounts) {
        (true, _) => "rw",
        (false, Submounts::Follow | Submounts::ReadOnly) => "rro",
        (false, Submounts::Excluded | Submounts::Writable) => "ro",
    };
    let options = [depth, propagation(view.propagation), read_mode];
    bind(view.source.clone(), &view.destination, &options)
}

fn propagation(asked: Option<Propagation>) -> &'static str {
    match asked {
        None | Some(Propagation::Rprivate) => "rprivate",
        Some(Propagation::Private) => "private",
        Some(Propagation::Shared) => "shared",
        Some(Propagation::Rshared) => "rshared",
        Some(Propagation::Slave) => "slave",
        Some(Propagation::Rslave) => "rslave",
    }
}
