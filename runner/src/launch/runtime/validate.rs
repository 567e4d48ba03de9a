//! Is a bundle one that can be run here? What it leaves open is filled in.

use std::path::Path;

use oci_spec::runtime::{LinuxNamespaceType, LinuxResources, Spec};

use super::{Result, RuntimeError};
use crate::launch::defaults;
use crate::launch::namespaces::Namespaces;

fn invalid(message: impl Into<String>) -> RuntimeError {
    RuntimeError::Invalid(message.into())
}

/// Reads `config.json` of a bundle and checks it.
pub(super) fn load(bundle: &Path, id: &str) -> Result<Spec> {
    let path = bundle.join("config.json");
    let text = std::fs::read(&path).map_err(|error| {
        let reason = crate::launch::error::reason(&error);
        invalid(format!("cannot read {}: {reason}", path.display()))
    })?;
    let mut spec: Spec = serde_json::from_slice(&text)
        .map_err(|error| invalid(format!("{}: {error}", path.display())))?;
    check_version(spec.version())?;
    check_kind(&spec)?;
    check_process(&spec)?;
    check_root(&mut spec, bundle)?;
    check_linux(&spec)?;
    check_mounts(&spec)?;
    complete(&mut spec, id);
    Ok(spec)
}

/// Any 1.x: what a later one adds is either known here or refused by name.
fn check_version(version: &str) -> Result<()> {
    let core = version.split(['-', '+']).next().unwrap_or_default();
    let numbers: Vec<&str> = core.split('.').collect();
    let plain = |part: &&str| !part.is_empty() && part.bytes().all(|it| it.is_ascii_digit());
    if numbers.len() == 3 && numbers.iter().all(plain) && numbers[0] == "1" {
        return Ok(());
    }
    Err(invalid(format!(
        "ociVersion {version:?} is not supported, only 1.x.y is"
    )))
}

fn check_kind(spec: &Spec) -> Result<()> {
    let foreign = [
        ("windows", spec.windows().is_some()),
        ("solaris", spec.solaris().is_some()),
        ("vm", spec.vm().is_some()),
    ];
    match foreign.iter().find(|(_, is_there)| *is_there) {
        Some((name, _)) => Err(invalid(format!("{name} is not supported here"))),
        None => Ok(()),
    }
}

fn check_process(spec: &Spec) -> Result<()> {
    let Some(process) = spec.process() else {
        return Err(invalid("process is not set"));
    };
    if process.args().as_ref().is_none_or(Vec::is_empty) {
        return Err(invalid("process.args must not be empty"));
    }
    if !process.cwd().is_absolute() {
        return Err(invalid("process.cwd must be an absolute path"));
    }
    let mut seen = Vec::new();
    for limit in process.rlimits().iter().flatten() {
        if seen.contains(&limit.typ()) {
            return Err(invalid(format!("rlimit {} is set twice", limit.typ())));
        }
        seen.push(limit.typ());
    }
    if process.exec_cpu_affinity().is_some() {
        return Err(invalid("process.execCPUAffinity is not supported"));
    }
    Ok(())
}

fn check_root(spec: &mut Spec, bundle: &Path) -> Result<()> {
    let Some(root) = spec.root_mut() else {
        return Err(invalid("root is not set"));
    };
    let path = bundle.join(root.path());
    if !path.is_dir() {
        return Err(invalid(format!(
            "root.path {} is not a directory",
            path.display()
        )));
    }
    root.set_path(path);
    Ok(())
}

fn check_linux(spec: &Spec) -> Result<()> {
    let Some(linux) = spec.linux() else {
        return Err(invalid("linux is not set"));
    };
    let unsupported = [
        ("linux.intelRdt", linux.intel_rdt().is_some()),
        ("linux.netDevices", linux.net_devices().is_some()),
        ("linux.memoryPolicy", linux.memory_policy().is_some()),
    ];
    if let Some((name, _)) = unsupported.iter().find(|(_, is_there)| *is_there) {
        return Err(invalid(format!("{name} is not supported")));
    }
    let mut kinds = Vec::new();
    for namespace in linux.namespaces().iter().flatten() {
        if kinds.contains(&namespace.typ()) {
            return Err(invalid(format!(
                "namespace {} is listed twice",
                namespace.typ()
            )));
        }
        kinds.push(namespace.typ());
    }
    let namespaces = Namespaces::of(spec)?;
    let n_mappings =
        [linux.uid_mappings(), linux.gid_mappings()].map(|it| it.as_ref().map_or(0, Vec::len));
    if namespaces.has_own_users() && n_mappings.contains(&0) {
        return Err(invalid(
            "a new user namespace needs uidMappings and gidMappings",
        ));
    }
    if !namespaces.maps_users() && n_mappings != [0, 0] {
        return Err(invalid("id mappings need a user namespace"));
    }
    if linux.time_offsets().is_some() && !namespaces.has_own_clocks() {
        return Err(invalid("timeOffsets need a new time namespace"));
    }
    let named = |name: &Option<String>| name.as_ref().is_some_and(|it| !it.is_empty());
    let has_names = namespaces.has(LinuxNamespaceType::Uts);
    if !has_names && (named(spec.hostname()) || named(spec.domainname())) {
        return Err(invalid("hostname and domainname need a uts namespace"));
    }
    for name in linux.sysctl().iter().flat_map(|it| it.keys()) {
        check_sysctl(name, &namespaces)?;
    }
    Ok(())
}

/// Settings that are not those of a namespace would be the host's.
fn check_sysctl(name: &str, namespaces: &Namespaces) -> Result<()> {
    const OF_IPC: [&str; 8] = [
        "kernel.msgmax",
        "kernel.msgmnb",
        "kernel.msgmni",
        "kernel.sem",
        "kernel.shmall",
        "kernel.shmmax",
        "kernel.shmmni",
        "kernel.shm_rmid_forced",
    ];
    let name = name.replace('/', ".");
    let owner = if OF_IPC.contains(&name.as_str()) || name.starts_with("fs.mqueue.") {
        LinuxNamespaceType::Ipc
    } else if name.starts_with("net.") {
        LinuxNamespaceType::Network
    } else if name == "kernel.domainname" || name == "kernel.hostname" {
        LinuxNamespaceType::Uts
    } else {
        return Err(invalid(format!(
            "sysctl {name:?} is not in a separate kernel namespace"
        )));
    };
    if namespaces.has(owner) {
        return Ok(());
    }
    Err(invalid(format!(
        "sysctl {name:?} is not allowed in the host's {owner} namespace"
    )))
}

fn check_mounts(spec: &Spec) -> Result<()> {
    for mount in spec.mounts().iter().flatten() {
        if !mount.destination().is_absolute() {
            return Err(invalid(format!(
                "the mount destination {:?} is not absolute",
                mount.destination().display().to_string()
            )));
        }
        if mount.uid_mappings().is_some() != mount.gid_mappings().is_some() {
            return Err(invalid(format!(
                "the mount at {} has mappings of users or groups, not of both",
                mount.destination().display()
            )));
        }
    }
    Ok(())
}

/// Devices that every container has, the right to use them, a control group.
fn complete(spec: &mut Spec, id: &str) {
    let Some(linux) = spec.linux_mut() else {
        return;
    };
    let mut devices = linux.devices().clone().unwrap_or_default();
    for device in defaults::devices() {
        if !devices.iter().any(|it| it.path() == device.path()) {
            devices.push(device);
        }
    }
    linux.set_devices(Some(devices));
    let mut resources = linux.resources().clone().unwrap_or_default();
    complete_rules(&mut resources);
    linux.set_resources(Some(resources));
    if linux
        .cgroups_path()
        .as_ref()
        .is_none_or(|it| it.as_os_str().is_empty())
    {
        linux.set_cgroups_path(Some(Path::new("/").join(id)));
    }
}

fn complete_rules(resources: &mut LinuxResources) {
    let mut rules = resources.devices().clone().unwrap_or_default();
    // Without rules everything is allowed already.
    if rules.is_empty() {
        return;
    }
    rules.extend(
        defaults::device_rules(false)
            .into_iter()
            .filter(oci_spec::runtime::LinuxDeviceCgroup::allow),
    );
    resources.set_devices(Some(rules));
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn bundle() -> (tempfile::TempDir, Value) {
        let directory = tempfile::tempdir().unwrap();
        std::fs::create_dir(directory.path().join("rootfs")).unwrap();
        let config = json!({
            "ociVersion": "1.0.2",
            "process": {"args": ["sh"], "cwd": "/", "user": {"uid": 0, "gid": 0}},
            "root": {"path": "rootfs"},
            "linux": {"namespaces": [{"type": "mount"}, {"type": "pid"}]},
        });
        (directory, config)
    }

    fn load_changed(change: impl FnOnce(&mut Value)) -> Result<Spec> {
        let (directory, mut config) = bundle();
        change(&mut config);
        std::fs::write(directory.path().join("config.json"), config.to_string()).unwrap();
        load(directory.path(), "box")
    }

    #[test]
    fn a_plain_bundle_is_completed() {
        let spec = load_changed(|_| ()).unwrap();
        let linux = spec.linux().as_ref().unwrap();
        assert_eq!(linux.devices().as_ref().unwrap().len(), 6);
        assert_eq!(linux.cgroups_path().as_deref(), Some(Path::new("/box")));
        assert!(spec.root().as_ref().unwrap().path().is_absolute());
        load_changed(|it| it["ociVersion"] = json!("1.3.0-rc.1+dev")).unwrap();
    }

    #[test]
    fn what_cannot_be_run_is_refused_by_name() {
        type Case = (&'static str, fn(&mut Value));
        let cases: &[Case] = &[
            ("ociVersion", |it| it["ociVersion"] = json!("2.0.0")),
            ("ociVersion", |it| it["ociVersion"] = json!("1.0")),
            ("ociVersion", |it| it["ociVersion"] = json!("")),
            ("process is not set", |it| it["process"] = Value::Null),
            ("process.args", |it| it["process"]["args"] = json!([])),
            ("process.cwd", |it| it["process"]["cwd"] = json!("tmp")),
            ("root.path", |it| it["root"]["path"] = json!("missing")),
            ("root is not set", |it| it["root"] = Value::Null),
            ("linux is not set", |it| it["linux"] = Value::Null),
            ("mount namespace", |it| {
                it["linux"]["namespaces"] = json!([{"type": "pid"}]);
            }),
            ("listed twice", |it| {
                it["linux"]["namespaces"] = json!([{"type": "mount"}, {"type": "mount"}]);
            }),
            ("uts namespace", |it| it["hostname"] = json!("box")),
            ("uidMappings", |it| {
                it["linux"]["namespaces"] = json!([{"type": "mount"}, {"type": "user"}]);
            }),
            ("need a user namespace", |it| {
                it["linux"]["uidMappings"] = json!([{"containerID": 0, "hostID": 1000, "size": 1}]);
            }),
            ("separate kernel namespace", |it| {
                it["linux"]["sysctl"] = json!({"vm.swappiness": "1"});
            }),
            ("host's net namespace", |it| {
                it["linux"]["sysctl"] = json!({"net.ipv4.ip_forward": "1"});
            }),
            ("not absolute", |it| {
                it["mounts"] = json!([{"destination": "tmp", "type": "tmpfs"}]);
            }),
            ("linux.intelRdt", |it| it["linux"]["intelRdt"] = json!({})),
            ("set twice", |it| {
                let limit = json!({"type": "RLIMIT_NOFILE", "soft": 1, "hard": 2});
                it["process"]["rlimits"] = json!([limit, limit]);
            }),
        ];
        for (words, change) in cases {
            let error = load_changed(change).map(drop).unwrap_err().to_string();
            assert!(error.contains(words), "{words}: {error}");
        }
    }
}
