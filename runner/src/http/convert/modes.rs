//! Namespace modes, network mode and restart policy: one word each on the wire.

use super::{Result, bad};
use crate::http::wire;
use crate::spec::{IpcMode, NamespaceMode, NetworkMode, RestartPolicy};

/// `PidMode`.
pub(super) fn pid_mode(text: &str) -> Result<NamespaceMode> {
    match (text, container(text)) {
        ("", _) => Ok(NamespaceMode::Private),
        ("host", _) => Ok(NamespaceMode::Host),
        (_, Some(name)) => Ok(NamespaceMode::Container(name)),
        (_, None) => bad(format!("invalid PID mode: {text}")),
    }
}

pub(super) fn pid_mode_text(mode: &NamespaceMode) -> String {
    match mode {
        NamespaceMode::Private => String::new(),
        NamespaceMode::Host => "host".to_owned(),
        NamespaceMode::Container(name) => format!("container:{name}"),
    }
}

/// `UTSMode`.
pub(super) fn uts_mode(text: &str) -> Result<NamespaceMode> {
    match text {
        "" => Ok(NamespaceMode::Private),
        "host" => Ok(NamespaceMode::Host),
        _ => bad(format!("invalid UTS mode: {text}")),
    }
}

/// `CgroupnsMode`.
pub(super) fn cgroupns_mode(text: &str) -> Result<NamespaceMode> {
    match text {
        "" | "private" => Ok(NamespaceMode::Private),
        "host" => Ok(NamespaceMode::Host),
        _ => bad(format!("invalid cgroup namespace mode: {text}")),
    }
}

pub(super) fn cgroupns_mode_text(mode: &NamespaceMode) -> &'static str {
    match mode {
        NamespaceMode::Private | NamespaceMode::Container(_) => "private",
        NamespaceMode::Host => "host",
    }
}

/// `UsernsMode`: whether the container is kept out of the remapping.
pub(super) fn userns_host(text: &str) -> Result<bool> {
    match text {
        "" => Ok(false),
        "host" => Ok(true),
        _ => bad(format!("invalid user namespace mode: {text}")),
    }
}

/// `IpcMode`.
pub(super) fn ipc_mode(text: &str) -> Result<IpcMode> {
    match (text, container(text)) {
        ("" | "private", _) => Ok(IpcMode::Private),
        ("shareable", _) => Ok(IpcMode::Shareable),
        ("none", _) => Ok(IpcMode::None),
        ("host", _) => Ok(IpcMode::Host),
        (_, Some(name)) => Ok(IpcMode::Container(name)),
        (_, None) => bad(format!("invalid IPC mode: {text}")),
    }
}

pub(super) fn ipc_mode_text(mode: &IpcMode) -> String {
    match mode {
        IpcMode::Private => "private".to_owned(),
        IpcMode::Shareable => "shareable".to_owned(),
        IpcMode::None => "none".to_owned(),
        IpcMode::Host => "host".to_owned(),
        IpcMode::Container(name) => format!("container:{name}"),
    }
}

/// `NetworkMode`.
pub(crate) fn network_mode(text: &str) -> Result<NetworkMode> {
    match (text, container(text)) {
        ("" | "default" | "bridge", _) => Ok(NetworkMode::Default),
        ("none", _) => Ok(NetworkMode::None),
        ("host", _) => Ok(NetworkMode::Host),
        (_, Some(name)) => Ok(NetworkMode::Container(name)),
        (_, None) if text.starts_with("container:") => {
            bad("invalid container format container:<name|id>")
        }
        (_, None) => Ok(NetworkMode::Network(text.to_owned())),
    }
}

pub(super) fn network_mode_text(mode: &NetworkMode) -> String {
    match mode {
        NetworkMode::Default => "bridge".to_owned(),
        NetworkMode::None => "none".to_owned(),
        NetworkMode::Host => "host".to_owned(),
        NetworkMode::Container(name) => format!("container:{name}"),
        NetworkMode::Network(name) => name.clone(),
    }
}

/// The name in `container:NAME`.
fn container(text: &str) -> Option<String> {
    let name = text.strip_prefix("container:")?;
    (!name.is_empty()).then(|| name.to_owned())
}

pub(crate) fn restart_policy_from_wire(wire: &wire::RestartPolicy) -> Result<RestartPolicy> {
    let retries = wire.maximum_retry_count;
    if wire.name == "on-failure" {
        return match u32::try_from(retries) {
            Ok(retries) => Ok(RestartPolicy::OnFailure {
                max_retries: Some(retries).filter(|retries| *retries > 0),
            }),
            Err(_) => bad("invalid restart policy: maximum retry count cannot be negative"),
        };
    }
    let policy = match wire.name.as_str() {
        "" | "no" => RestartPolicy::No,
        "always" => RestartPolicy::Always,
        "unless-stopped" => RestartPolicy::UnlessStopped,
        other => {
            return bad(format!(
                "invalid restart policy: unknown policy '{other}'; use one of 'no', 'always', \
             'on-failure', or 'unless-stopped'"
            ));
        }
    };
    if retries != 0 {
        return bad(
            "invalid restart policy: maximum retry count can only be used with 'on-failure'",
        );
    }
    Ok(policy)
}

pub(super) fn restart_policy_to_wire(policy: RestartPolicy) -> wire::RestartPolicy {
    let (name, retries) = match policy {
        RestartPolicy::No => ("no", 0),
        RestartPolicy::OnFailure { max_retries } => ("on-failure", max_retries.unwrap_or(0)),
        RestartPolicy::Always => ("always", 0),
        RestartPolicy::UnlessStopped => ("unless-stopped", 0),
    };
    wire::RestartPolicy {
        name: name.to_owned(),
        maximum_retry_count: i64::from(retries),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn modes_go_both_ways() {
        for text in ["", "host", "container:web"] {
            assert_eq!(pid_mode_text(&pid_mode(text).unwrap()), text);
        }
        for text in ["private", "shareable", "none", "host", "container:web"] {
            assert_eq!(ipc_mode_text(&ipc_mode(text).unwrap()), text);
        }
        for text in ["bridge", "none", "host", "container:web", "my-net"] {
            assert_eq!(network_mode_text(&network_mode(text).unwrap()), text);
        }
        for text in ["private", "host"] {
            assert_eq!(cgroupns_mode_text(&cgroupns_mode(text).unwrap()), text);
        }
        assert_eq!(network_mode("default"), Ok(NetworkMode::Default));
    }

    #[test]
    fn unknown_modes_are_refused() {
        assert!(pid_mode("container:").is_err());
        assert!(pid_mode("private").is_err());
        assert!(ipc_mode("container:").is_err());
        assert!(network_mode("container:").is_err());
        assert!(uts_mode("container:x").is_err());
        assert!(cgroupns_mode("container:x").is_err());
        assert!(userns_host("private").is_err());
    }

    #[test]
    fn restart_policies_go_both_ways() {
        let cases = [
            ("no", 0, Ok("no")),
            ("", 0, Ok("no")),
            ("always", 0, Ok("always")),
            ("unless-stopped", 0, Ok("unless-stopped")),
            ("on-failure", 0, Ok("on-failure")),
            ("on-failure", 3, Ok("on-failure")),
            ("on-failure", -1, Err(())),
            ("always", 1, Err(())),
            ("sometimes", 0, Err(())),
        ];
        for (name, maximum_retry_count, expected) in cases {
            let wire = wire::RestartPolicy {
                name: name.to_owned(),
                maximum_retry_count,
            };
            let back = restart_policy_from_wire(&wire).map(restart_policy_to_wire);
            let back = back.map_err(|_| ());
            if let Ok(back) = &back {
                assert_eq!(back.maximum_retry_count, maximum_retry_count);
            }
            assert_eq!(
                back.map(|back| back.name),
                expected.map(str::to_owned),
                "{name}"
            );
        }
    }
}
