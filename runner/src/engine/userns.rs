//! Whose subordinate ids containers' ids are (`userns-remap`), from `/etc/subuid` and
//! `/etc/subgid`, subuid(5).

use std::fs;

use oci_spec::runtime::{LinuxIdMapping, LinuxIdMappingBuilder};

/// The user that `default` means, as with docker.
const DEFAULT_USER: &str = "dockremap";

/// What root and all other ids of containers are on this machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct IdMappings {
    pub(crate) users: Vec<LinuxIdMapping>,
    pub(crate) groups: Vec<LinuxIdMapping>,
}

/// Why there are no such ids.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum IdMappingError {
    #[error("userns-remap: {file} has no line for {name}, such as \"{name}:100000:65536\"")]
    NoIds { file: &'static str, name: String },
    #[error("userns-remap: {0:?} is not \"default\" or USER[:GROUP]")]
    Name(String),
    #[error("userns-remap needs Linux 6.15, whose overlayfs takes layers with mapped owners")]
    Kernel,
}

impl IdMappings {
    /// The last group that containers have.
    pub(crate) fn last_group(&self) -> u32 {
        let ends = self
            .groups
            .iter()
            .map(|it| it.container_id() + (it.size() - 1));
        ends.max().unwrap_or(0)
    }

    /// The ids of `default` or `user[:group]`.
    pub(crate) fn of(remap: &str) -> Result<Self, IdMappingError> {
        let read = |file: &str| fs::read_to_string(file).unwrap_or_default();
        let name = if remap == "default" {
            DEFAULT_USER
        } else {
            remap
        };
        let (user, group) = name.split_once(':').unwrap_or((name, name));
        if user.is_empty() || group.is_empty() {
            return Err(IdMappingError::Name(remap.to_owned()));
        }
        let users = read("/etc/passwd");
        let groups = read("/etc/group");
        Ok(Self {
            users: mappings("/etc/subuid", &read("/etc/subuid"), &aliases(user, &users))?,
            groups: mappings(
                "/etc/subgid",
                &read("/etc/subgid"),
                &aliases(group, &groups),
            )?,
        })
    }
}

/// The name, and the number or name that means the same by `/etc/passwd` or `/etc/group`.
fn aliases(name: &str, database: &str) -> Vec<String> {
    let mut all = vec![name.to_owned()];
    for line in database.lines() {
        let fields: Vec<&str> = line.split(':').collect();
        if let [known, _, number, ..] = fields[..] {
            if known == name {
                all.push(number.to_owned());
            } else if number == name {
                all.push(known.to_owned());
            }
        }
    }
    all
}

/// All ranges of one name, one after the other from id 0 on.
fn mappings(
    file: &'static str,
    text: &str,
    names: &[String],
) -> Result<Vec<LinuxIdMapping>, IdMappingError> {
    let mut inside = 0_u32;
    let mut mappings = Vec::new();
    for line in text.lines() {
        let fields: Vec<&str> = line.trim().split(':').collect();
        let [name, start, count] = fields[..] else {
            continue;
        };
        let (Ok(start), Ok(count)) = (start.parse::<u32>(), count.parse::<u32>()) else {
            continue;
        };
        let fits = count > 0 && start > 0 && start.checked_add(count).is_some();
        let Some(next) = inside.checked_add(count).filter(|_| fits) else {
            continue;
        };
        if names.iter().any(|it| it == name) {
            // The builder knows a default for each field and so never fails.
            let mapping = LinuxIdMappingBuilder::default()
                .container_id(inside)
                .host_id(start)
                .size(count)
                .build();
            mappings.extend(mapping.ok());
            inside = next;
        }
    }
    if mappings.is_empty() {
        return Err(IdMappingError::NoIds {
            file,
            name: names[0].clone(),
        });
    }
    Ok(mappings)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_of_a_name_or_its_number_follow_each_other() {
        let passwd = "root:x:0:0::/:/bin/sh\ncontainers:x:990:990::/:/bin/false\n";
        let text = "other:1:2\ncontainers:100000:1000\nbroken\n990:300000:500\ncontainers:0:5\n";
        for name in ["containers", "990"] {
            let found = mappings("/etc/subuid", text, &aliases(name, passwd)).unwrap();
            let short: Vec<_> = found
                .iter()
                .map(|it| (it.container_id(), it.host_id(), it.size()))
                .collect();
            assert_eq!(short, [(0, 100_000, 1000), (1000, 300_000, 500)], "{name}");
        }
        let none = mappings("/etc/subgid", text, &aliases("nobody", passwd)).unwrap_err();
        assert!(
            none.to_string().contains("\"nobody:100000:65536\""),
            "{none}"
        );
        for bad in ["", ":", "a:"] {
            assert!(
                matches!(IdMappings::of(bad), Err(IdMappingError::Name(_))),
                "{bad}"
            );
        }
    }
}
