//! `-v`: `[source:]target[:options]`.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use super::{checked_target, clean, propagation, propagation_text, volume_name};
use crate::http::Result;
use crate::http::convert::bad;
use crate::spec::{MountForm, MountSource, MountSpec, Propagation, Submounts};

pub(super) fn bind(text: &str, driver: &str) -> Result<MountSpec> {
    let invalid = || bad(format!("invalid volume specification: '{text}'"));
    let parts: Vec<&str> = text.split(':').collect();
    if parts.iter().any(|part| part.is_empty()) {
        return invalid();
    }
    let (source, target, mode) = match parts[..] {
        [target] => (None, target, ""),
        // `/path:ro` would be a volume with options, which it cannot have.
        [_, mode] if BindMode::parse(mode).is_ok() => return invalid(),
        [source, target] => (Some(source), target, ""),
        [source, target, mode] => (Some(source), target, mode),
        _ => return invalid(),
    };
    let mode = BindMode::parse(mode)?;
    let target = checked_target(target).or_else(|why| {
        bad(format!(
            "invalid volume specification: '{text}': {}",
            why.message
        ))
    })?;
    let is_path = source.is_some_and(|source| source.starts_with('/'));
    if !is_path && mode.propagation.is_some() {
        return bad(format!(
            "invalid volume specification: '{text}': propagation is for paths"
        ));
    }
    let source = match source {
        Some(path) if is_path => MountSource::Bind {
            path: PathBuf::from(clean(path)),
            create_missing: true,
        },
        name => MountSource::Volume {
            name: name.map(volume_name).transpose()?,
            no_copy: mode.no_copy,
            subpath: None,
            driver: Some(driver.to_owned()).filter(|driver| !driver.is_empty()),
            driver_options: BTreeMap::new(),
            labels: BTreeMap::new(),
        },
    };
    Ok(MountSpec {
        source,
        target,
        read_only: mode.read_only,
        propagation: mode.propagation,
        submounts: Submounts::Follow,
        form: MountForm::Short,
    })
}

/// The third part of a `-v` text.
#[derive(Debug, Default)]
struct BindMode {
    read_only: bool,
    no_copy: bool,
    propagation: Option<Propagation>,
}

impl BindMode {
    fn parse(text: &str) -> Result<Self> {
        let mut mode = Self::default();
        let mut kinds = BTreeSet::new();
        for word in text.split(',').filter(|_| !text.is_empty()) {
            let kind = match word {
                "ro" | "rw" => {
                    mode.read_only = word == "ro";
                    "access"
                }
                "nocopy" => {
                    mode.no_copy = true;
                    "copy"
                }
                // Labels mean something with SELinux only, consistency on macOS only.
                "z" | "Z" => "label",
                "consistent" | "cached" | "delegated" => "consistency",
                _ => match propagation(word) {
                    Some(propagation) => {
                        mode.propagation = Some(propagation);
                        "propagation"
                    }
                    None => return bad(format!("invalid mode: {text}")),
                },
            };
            if !kinds.insert(kind) {
                return bad(format!("invalid mode: {text}"));
            }
        }
        Ok(mode)
    }
}

pub(super) fn bind_text(mount: &MountSpec) -> String {
    let mut words = Vec::new();
    if mount.read_only {
        words.push("ro");
    }
    words.extend(mount.propagation.map(propagation_text));
    let source = match &mount.source {
        MountSource::Bind { path, .. } => Some(path.display().to_string()),
        MountSource::Volume { name, no_copy, .. } => {
            if *no_copy {
                words.push("nocopy");
            }
            name.clone()
        }
        MountSource::Tmpfs { .. } => None,
    };
    let mut text = source.map_or_else(String::new, |source| source + ":");
    text.push_str(&mount.target);
    if !words.is_empty() {
        text.push(':');
        text.push_str(&words.join(","));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn volume(name: Option<&str>, no_copy: bool) -> MountSource {
        MountSource::Volume {
            name: name.map(str::to_owned),
            no_copy,
            subpath: None,
            driver: None,
            driver_options: BTreeMap::new(),
            labels: BTreeMap::new(),
        }
    }

    fn path(path: &str) -> MountSource {
        MountSource::Bind {
            path: path.into(),
            create_missing: true,
        }
    }

    #[test]
    fn binds_are_read_and_written_back() {
        let slave = Some(Propagation::Rslave);
        let cases = [
            ("/src:/dst", path("/src"), "/dst", false, None),
            ("/src:/dst:ro", path("/src"), "/dst", true, None),
            ("/src:/dst:ro,rslave", path("/src"), "/dst", true, slave),
            (
                "data:/data",
                volume(Some("data"), false),
                "/data",
                false,
                None,
            ),
            (
                "data:/data:ro,nocopy",
                volume(Some("data"), true),
                "/data",
                true,
                None,
            ),
            ("/anon", volume(None, false), "/anon", false, None),
        ];
        for (text, source, target, read_only, propagation) in cases {
            let expected = MountSpec {
                source,
                target: target.to_owned(),
                read_only,
                propagation,
                submounts: Submounts::Follow,
                form: MountForm::Short,
            };
            assert_eq!(bind(text, ""), Ok(expected.clone()), "{text}");
            assert_eq!(bind_text(&expected), text);
        }
        let cleaned = bind("/a/../b//c:/d/./e:z,rw,cached", "").unwrap();
        assert_eq!(bind_text(&cleaned), "/b/c:/d/e");
    }

    #[test]
    fn bad_binds_are_refused() {
        let cases = [
            ("", "invalid volume specification: ''"),
            (":", "invalid volume specification: ':'"),
            ("/a:", "invalid volume specification: '/a:'"),
            ("/a:ro", "invalid volume specification: '/a:ro'"),
            ("/a:/b:ro:x", "invalid volume specification: '/a:/b:ro:x'"),
            ("/a:/b:ro,rw", "invalid mode: ro,rw"),
            ("/a:/b:fast", "invalid mode: fast"),
            ("/a:b", "mount path must be absolute"),
            ("/a:/", "destination can't be '/'"),
            ("/a:/b/..", "destination can't be '/'"),
            (
                "./a:/b",
                "includes invalid characters for a local volume name",
            ),
            ("x:/b", "volume name is too short"),
            ("data:/b:shared", "propagation is for paths"),
        ];
        for (text, why) in cases {
            let error = bind(text, "").unwrap_err();
            assert!(error.message.contains(why), "{text}: {}", error.message);
        }
    }

    proptest::proptest! {
        #[test]
        fn any_text_is_read_or_refused(text in "\\PC{0,32}") {
            if let Ok(mount) = bind(&text, "") {
                proptest::prop_assert_eq!(bind(&bind_text(&mount), ""), Ok(mount));
            }
        }
    }
}
