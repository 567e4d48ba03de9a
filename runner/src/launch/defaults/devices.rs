//! Device nodes and the rules of the device cgroup.

use std::fs;
use std::io;
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};

use oci_spec::runtime::{LinuxDevice, LinuxDeviceCgroup, LinuxDeviceType};

use crate::sys::in_root::device_numbers;

/// Path, major and minor number of the nodes every container has.
const NODES: [(&str, i64, i64); 6] = [
    ("/dev/null", 1, 3),
    ("/dev/zero", 1, 5),
    ("/dev/full", 1, 7),
    ("/dev/random", 1, 8),
    ("/dev/urandom", 1, 9),
    ("/dev/tty", 5, 0),
];

/// Names in `/dev` that are not devices of the machine but of somebody's session.
const NOT_FOR_CONTAINERS: [&str; 8] = [
    "pts",
    "shm",
    "fd",
    "mqueue",
    "console",
    ".lxc",
    ".lxd-mounts",
    ".udev",
];

/// `/dev/null` and the other nodes that every container has; the launcher makes `/dev/fd`,
/// `/dev/ptmx` and the other links itself.
pub fn devices() -> Vec<LinuxDevice> {
    NODES
        .iter()
        .map(|(path, major, minor)| {
            let mut node = node(Path::new(path), LinuxDeviceType::C, *major, *minor);
            node.set_file_mode(Some(0o666));
            node.set_uid(Some(0));
            node.set_gid(Some(0));
            node
        })
        .collect()
}

/// The node `on_host`, to be seen as `in_container`, with the rule that lets it be used; for a
/// directory, every node in it.
///
/// `permissions` are some of `r`, `w`, `m`.
pub fn device(
    on_host: &Path,
    in_container: &Path,
    permissions: &str,
) -> io::Result<Vec<(LinuxDevice, LinuxDeviceCgroup)>> {
    let mut nodes = Vec::new();
    if fs::metadata(on_host)?.is_dir() {
        collect(on_host, in_container, &mut nodes)?;
    } else {
        nodes.extend(host_node(on_host, in_container)?);
    }
    if nodes.is_empty() {
        let message = format!("{} is not a device node", on_host.display());
        return Err(io::Error::new(io::ErrorKind::InvalidInput, message));
    }
    Ok(nodes
        .into_iter()
        .map(|node| {
            let rule = rule(
                true,
                node.typ(),
                Some(node.major()),
                Some(node.minor()),
                permissions,
            );
            (node, rule)
        })
        .collect())
}

/// Every node under the host's `/dev` but terminals, for `--privileged`.
pub fn all_host_devices() -> io::Result<Vec<LinuxDevice>> {
    let mut nodes = Vec::new();
    collect(Path::new("/dev"), Path::new("/dev"), &mut nodes)?;
    Ok(nodes)
}

/// Deny all, allow making nodes, allow the use of the default ones; or, privileged, allow all.
pub fn device_rules(privileged: bool) -> Vec<LinuxDeviceCgroup> {
    let all = LinuxDeviceType::A;
    if privileged {
        return vec![rule(true, all, None, None, "rwm")];
    }
    let (character, block) = (LinuxDeviceType::C, LinuxDeviceType::B);
    let mut rules = vec![
        rule(false, all, None, None, "rwm"),
        rule(true, character, None, None, "m"),
        rule(true, block, None, None, "m"),
    ];
    rules.extend(
        NODES
            .iter()
            .map(|(_, major, minor)| rule(true, character, Some(*major), Some(*minor), "rwm")),
    );
    // The console, the terminals of devpts and their multiplexer.
    rules.push(rule(true, character, Some(5), Some(1), "rwm"));
    rules.push(rule(true, character, Some(136), None, "rwm"));
    rules.push(rule(true, character, Some(5), Some(2), "rwm"));
    rules
}

fn collect(directory: &Path, in_container: &Path, nodes: &mut Vec<LinuxDevice>) -> io::Result<()> {
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        let name = entry.file_name();
        if NOT_FOR_CONTAINERS.iter().any(|skipped| name == *skipped) {
            continue;
        }
        let target = in_container.join(&name);
        let kind = entry.file_type()?;
        if kind.is_dir() {
            // A directory may vanish or be closed to us; the rest of `/dev` still counts.
            match collect(&entry.path(), &target, nodes) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                other => other?,
            }
        } else if kind.is_char_device() || kind.is_block_device() {
            nodes.extend(host_node(&entry.path(), &target)?);
        }
    }
    Ok(())
}

fn host_node(on_host: &Path, in_container: &Path) -> io::Result<Option<LinuxDevice>> {
    let metadata = match fs::metadata(on_host) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        other => other?,
    };
    let kind = if metadata.file_type().is_char_device() {
        LinuxDeviceType::C
    } else if metadata.file_type().is_block_device() {
        LinuxDeviceType::B
    } else {
        return Ok(None);
    };
    let (major, minor) = device_numbers(metadata.rdev());
    let signed = |number: u64| i64::try_from(number).unwrap_or(i64::MAX);
    let mut node = node(in_container, kind, signed(major), signed(minor));
    node.set_file_mode(Some(metadata.mode() & 0o7777));
    node.set_uid(Some(metadata.uid()));
    node.set_gid(Some(metadata.gid()));
    Ok(Some(node))
}

fn node(path: &Path, kind: LinuxDeviceType, major: i64, minor: i64) -> LinuxDevice {
    let mut node = LinuxDevice::default();
    node.set_path(PathBuf::from(path));
    node.set_typ(kind);
    node.set_major(major);
    node.set_minor(minor);
    node
}

fn rule(
    allow: bool,
    kind: LinuxDeviceType,
    major: Option<i64>,
    minor: Option<i64>,
    access: &str,
) -> LinuxDeviceCgroup {
    let mut rule = LinuxDeviceCgroup::default();
    rule.set_allow(allow);
    rule.set_typ(Some(kind));
    rule.set_major(major);
    rule.set_minor(minor);
    rule.set_access(Some(access.to_owned()));
    rule
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_node_brings_its_numbers_and_a_rule() {
        let found = device(Path::new("/dev/null"), Path::new("/dev/x"), "rw").unwrap();
        let (node, rule) = &found[0];
        assert_eq!((node.major(), node.minor()), (1, 3));
        assert_eq!(node.path(), Path::new("/dev/x"));
        assert_eq!(rule.access().as_deref(), Some("rw"));
        assert_eq!((rule.major(), rule.minor()), (Some(1), Some(3)));
    }

    #[test]
    fn what_is_no_device_is_refused() {
        let error = device(Path::new("/etc/passwd"), Path::new("/dev/x"), "rw").unwrap_err();
        assert_eq!(error.to_string(), "/etc/passwd is not a device node");
        assert!(device(Path::new("/nonexistent"), Path::new("/dev/x"), "rw").is_err());
    }

    #[test]
    fn the_default_rules_start_by_denying() {
        let rules = device_rules(false);
        assert!(!rules[0].allow() && rules[1..].iter().all(LinuxDeviceCgroup::allow));
        assert!(device_rules(true)[0].allow());
    }
}
