//! Mounts in their three spellings: `-v` texts, `--mount` objects, the `--tmpfs` map.

mod bind;
mod long;
mod tmpfs;

use std::collections::{BTreeMap, BTreeSet};

use bind::{bind, bind_text};
use long::{long_mount, long_to_wire};
use tmpfs::{tmpfs, tmpfs_text};

use super::bad;
use crate::http::Result;
use crate::http::wire;
use crate::spec::{MountForm, MountSource, MountSpec, Propagation};

/// Every mount that a create asks for; two on one target are refused.
pub(super) fn mounts_from_wire(host: &wire::HostConfig) -> Result<Vec<MountSpec>> {
    let driver = &host.volume_driver;
    let binds = host.binds.iter().flatten().map(|text| bind(text, driver));
    let long = host.mounts.iter().map(long_mount);
    let tmpfs = host
        .tmpfs
        .iter()
        .map(|(target, options)| tmpfs(target, options));
    let mounts: Vec<MountSpec> = binds.chain(long).chain(tmpfs).collect::<Result<_>>()?;
    let mut targets = BTreeSet::new();
    match mounts.iter().find(|mount| !targets.insert(&mount.target)) {
        Some(twice) => bad(format!("Duplicate mount point: {}", twice.target)),
        None => Ok(mounts),
    }
}

/// What a mount is sorted into on the way out.
#[derive(Debug, Default)]
pub(super) struct WireMounts {
    pub(super) binds: Vec<String>,
    pub(super) mounts: Vec<wire::Mount>,
    pub(super) tmpfs: BTreeMap<String, String>,
}

pub(super) fn mounts_to_wire(mounts: &[MountSpec]) -> WireMounts {
    let mut wire = WireMounts::default();
    for mount in mounts {
        match (mount.form, &mount.source) {
            (MountForm::Long, _) => wire.mounts.push(long_to_wire(mount)),
            (MountForm::Short, MountSource::Tmpfs { .. }) => {
                wire.tmpfs.insert(mount.target.clone(), tmpfs_text(mount));
            }
            (MountForm::Short, _) => wire.binds.push(bind_text(mount)),
        }
    }
    wire
}

fn checked_target(target: &str) -> Result<String> {
    if !target.starts_with('/') {
        return bad(format!(
            "invalid mount path: '{target}' mount path must be absolute"
        ));
    }
    let target = clean(target);
    if target == "/" {
        return bad("invalid specification: destination can't be '/'");
    }
    Ok(target)
}

/// Docker's `local` driver takes `[a-zA-Z0-9][a-zA-Z0-9_.-]+`.
fn volume_name(name: &str) -> Result<String> {
    let inner = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'.' | b'-');
    if name.len() < 2 {
        return bad(format!(
            "create {name}: volume name is too short, names should be at least two alphanumeric \
             characters"
        ));
    }
    if name.as_bytes()[0].is_ascii_alphanumeric() && name.bytes().all(inner) {
        return Ok(name.to_owned());
    }
    bad(format!(
        "create {name}: {name:?} includes invalid characters for a local volume name, only \
         \"[a-zA-Z0-9][a-zA-Z0-9_.-]\" are allowed. If you intended to pass a host directory, \
         use absolute path"
    ))
}

/// Takes `.`, `..` and double slashes out of an absolute path, as text.
fn clean(path: &str) -> String {
    let mut parts: Vec<&str> = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => drop(parts.pop()),
            _ => parts.push(part),
        }
    }
    format!("/{}", parts.join("/"))
}

fn propagation(word: &str) -> Option<Propagation> {
    Some(match word {
        "private" => Propagation::Private,
        "rprivate" => Propagation::Rprivate,
        "shared" => Propagation::Shared,
        "rshared" => Propagation::Rshared,
        "slave" => Propagation::Slave,
        "rslave" => Propagation::Rslave,
        _ => return None,
    })
}

pub(super) fn propagation_text(propagation: Propagation) -> &'static str {
    match propagation {
        Propagation::Private => "private",
        Propagation::Rprivate => "rprivate",
        Propagation::Shared => "shared",
        Propagation::Rshared => "rshared",
        Propagation::Slave => "slave",
        Propagation::Rslave => "rslave",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_target_takes_one_mount() {
        let host = wire::HostConfig {
            binds: Some(vec!["/a:/t".to_owned()]),
            tmpfs: BTreeMap::from([("/t/".to_owned(), String::new())]),
            ..wire::HostConfig::default()
        };
        let error = mounts_from_wire(&host).unwrap_err();
        assert_eq!(error.message, "Duplicate mount point: /t");
    }
}
