//! `SecurityOpt`: a list of texts, each `key=value`, `key:value` or a word.

use super::{Result, bad, unsupported};
use crate::spec::{HostConfig, SeccompProfile};

/// Reads the options into `host`.
pub(super) fn read_security_options(options: &[String], host: &mut HostConfig) -> Result<()> {
    for option in options {
        let split = option.split_once('=').or_else(|| option.split_once(':'));
        match split.unwrap_or((option, "")) {
            ("no-new-privileges", "" | "true") => host.no_new_privileges = true,
            ("no-new-privileges", "false") => host.no_new_privileges = false,
            ("seccomp", profile) => host.seccomp = seccomp(profile)?,
            ("apparmor", profile) if !profile.is_empty() => {
                host.apparmor_profile = Some(profile.to_owned());
            }
            ("label", label) if !label.is_empty() => host.selinux_labels.push(label.to_owned()),
            ("credentialspec" | "writable-cgroups", _) => {
                return unsupported(format!("security option {option:?} is not supported"));
            }
            _ if split.is_none() => return bad(format!("invalid --security-opt 1: {option:?}")),
            _ => return bad(format!("invalid --security-opt 2: {option:?}")),
        }
    }
    Ok(())
}

fn seccomp(profile: &str) -> Result<SeccompProfile> {
    match profile {
        "unconfined" => Ok(SeccompProfile::Unconfined),
        "builtin" => Ok(SeccompProfile::Default),
        json => match serde_json::from_str::<serde_json::Map<_, _>>(json) {
            Ok(_) => Ok(SeccompProfile::Custom(json.to_owned())),
            Err(error) => bad(format!("Decoding seccomp profile failed: {error}")),
        },
    }
}

pub(super) fn security_options(host: &HostConfig) -> Vec<String> {
    let mut options = Vec::new();
    if host.no_new_privileges {
        options.push("no-new-privileges".to_owned());
    }
    match &host.seccomp {
        SeccompProfile::Default => {}
        SeccompProfile::Unconfined => options.push("seccomp=unconfined".to_owned()),
        SeccompProfile::Custom(json) => options.push(format!("seccomp={json}")),
    }
    options.extend(
        host.apparmor_profile
            .iter()
            .map(|name| format!("apparmor={name}")),
    );
    options.extend(
        host.selinux_labels
            .iter()
            .map(|label| format!("label={label}")),
    );
    options
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_go_both_ways() {
        let cases = [
            ("no-new-privileges", "no-new-privileges"),
            ("no-new-privileges:true", "no-new-privileges"),
            ("no-new-privileges=false", ""),
            ("seccomp=unconfined", "seccomp=unconfined"),
            ("seccomp:unconfined", "seccomp=unconfined"),
            ("seccomp=builtin", ""),
            (
                r#"seccomp={"defaultAction":"X"}"#,
                r#"seccomp={"defaultAction":"X"}"#,
            ),
            ("apparmor=unconfined", "apparmor=unconfined"),
            ("label=disable", "label=disable"),
            ("label=type:x_t", "label=type:x_t"),
        ];
        for (option, expected) in cases {
            let mut host = HostConfig::default();
            read_security_options(&[option.to_owned()], &mut host).unwrap();
            assert_eq!(security_options(&host).join(" "), expected, "{option}");
        }
    }

    #[test]
    fn unknown_options_are_refused() {
        let cases = [
            ("x", "invalid --security-opt 1: \"x\""),
            ("x=y", "invalid --security-opt 2: \"x=y\""),
            (
                "no-new-privileges=maybe",
                "invalid --security-opt 2: \"no-new-privileges=maybe\"",
            ),
            ("apparmor=", "invalid --security-opt 2: \"apparmor=\""),
            (
                "seccomp=/tmp/x",
                "Decoding seccomp profile failed: expected value at line 1 column 1",
            ),
            (
                "writable-cgroups=true",
                "security option \"writable-cgroups=true\" is not supported",
            ),
        ];
        for (option, text) in cases {
            let read = read_security_options(&[option.to_owned()], &mut HostConfig::default());
            assert_eq!(read.unwrap_err().message, text);
        }
    }
}
