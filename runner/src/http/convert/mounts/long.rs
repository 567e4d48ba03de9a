//! `--mount`, checked in the order and the words of Docker.

use std::path::{Path, PathBuf};

use super::{checked_target, clean, propagation, propagation_text, volume_name};
use crate::http::Result;
use crate::http::convert::{bad, unsupported};
use crate::http::error::ApiError;
use crate::http::wire;
use crate::spec::{MountForm, MountSource, MountSpec, Submounts};

pub(super) fn long_mount(wire: &wire::Mount) -> Result<MountSpec> {
    let wrong = |why: &str| {
        let kind = &wire.r#type;
        ApiError::bad_parameter(format!("invalid mount config for type {kind:?}: {why}"))
    };
    if wire.target.is_empty() {
        return Err(wrong("field Target must not be empty"));
    }
    let target = checked_target(&wire.target).map_err(|why| wrong(&why.message))?;
    let misplaced = [
        ("BindOptions", wire.bind_options.is_some(), "bind"),
        ("VolumeOptions", wire.volume_options.is_some(), "volume"),
        ("TmpfsOptions", wire.tmpfs_options.is_some(), "tmpfs"),
    ];
    for (name, given, belongs_to) in misplaced {
        if given && wire.r#type != belongs_to {
            return Err(wrong(&format!("field {name} must not be specified")));
        }
    }
    let source = match wire.r#type.as_str() {
        "bind" => long_bind(wire).map_err(|why| wrong(&why.message))?,
        "volume" => long_volume(wire)?,
        "tmpfs" if !wire.source.is_empty() => {
            return Err(wrong("field Source must not be specified"));
        }
        "tmpfs" => long_tmpfs(wire)?,
        "image" | "cluster" => {
            return unsupported(format!("mounts of type {} are not supported", wire.r#type));
        }
        _ => return Err(wrong("mount type unknown")),
    };
    let bind = wire.bind_options.clone().unwrap_or_default();
    let propagation = match bind.propagation.as_str() {
        "" => None,
        word => match propagation(word) {
            Some(propagation) => Some(propagation),
            None => return Err(wrong(&format!("invalid propagation mode: {word}"))),
        },
    };
    Ok(MountSpec {
        source,
        target,
        read_only: wire.read_only,
        propagation,
        submounts: submounts(wire.read_only, &bind).map_err(|why| wrong(&why.message))?,
        form: MountForm::Long,
    })
}

/// At most one of the three may be said, and those about reading only of a read-only mount.
fn submounts(read_only: bool, bind: &wire::BindOptions) -> Result<Submounts> {
    let (excluded, writable, forced) = (
        bind.non_recursive,
        bind.read_only_non_recursive,
        bind.read_only_force_recursive,
    );
    let name = if forced {
        "ReadOnlyForceRecursive"
    } else {
        "ReadOnlyNonRecursive"
    };
    if (writable || forced) && !read_only {
        return bad(format!("mount is not readonly, {name} is not allowed"));
    }
    if forced && !matches!(bind.propagation.as_str(), "" | "rprivate") {
        return bad(format!(
            "{name} needs bind propagation to be rprivate, not {}",
            bind.propagation
        ));
    }
    match (excluded, writable, forced) {
        (false, false, false) => Ok(Submounts::Follow),
        (true, false, false) => Ok(Submounts::Excluded),
        (false, true, false) => Ok(Submounts::Writable),
        (false, false, true) => Ok(Submounts::ReadOnly),
        _ => {
            bad("NonRecursive, ReadOnlyNonRecursive and ReadOnlyForceRecursive exclude each other")
        }
    }
}

fn long_bind(wire: &wire::Mount) -> Result<MountSource> {
    if wire.source.is_empty() {
        return bad("field Source must not be empty");
    }
    if !wire.source.starts_with('/') {
        return bad(format!(
            "invalid mount path: '{}' mount path must be absolute",
            wire.source
        ));
    }
    let options = wire.bind_options.as_ref();
    Ok(MountSource::Bind {
        path: PathBuf::from(clean(&wire.source)),
        create_missing: options.is_some_and(|options| options.create_mountpoint),
    })
}

fn long_volume(wire: &wire::Mount) -> Result<MountSource> {
    let options = wire.volume_options.clone().unwrap_or_default();
    let driver = options.driver_config.unwrap_or_default();
    if Path::new(&options.subpath).is_absolute() {
        return bad("invalid mount config for type \"volume\": subpath must be a relative path");
    }
    let name = Some(wire.source.as_str()).filter(|name| !name.is_empty());
    Ok(MountSource::Volume {
        name: name.map(volume_name).transpose()?,
        no_copy: options.no_copy,
        subpath: Some(PathBuf::from(options.subpath)).filter(|path| path != Path::new("")),
        driver: Some(driver.name).filter(|name| !name.is_empty()),
        driver_options: driver.options,
        labels: options.labels,
    })
}

fn long_tmpfs(wire: &wire::Mount) -> Result<MountSource> {
    let given = wire.tmpfs_options.clone().unwrap_or_default();
    let mode = match u32::try_from(given.mode) {
        Ok(mode) if mode <= 0o7777 => Some(mode).filter(|mode| *mode != 0),
        _ => return bad("invalid mount config for type \"tmpfs\": invalid mode"),
    };
    let Ok(size_bytes) = u64::try_from(given.size_bytes) else {
        return bad("invalid mount config for type \"tmpfs\": size must not be negative");
    };
    Ok(MountSource::Tmpfs {
        size_bytes: Some(size_bytes).filter(|size| *size != 0),
        mode,
        options: given.options.iter().map(|words| words.join("=")).collect(),
    })
}

pub(super) fn long_to_wire(mount: &MountSpec) -> wire::Mount {
    let mut wire = match &mount.source {
        MountSource::Bind {
            path,
            create_missing,
        } => wire::Mount {
            r#type: "bind".to_owned(),
            source: path.display().to_string(),
            bind_options: given(bind_options(mount, *create_missing)),
            ..wire::Mount::default()
        },
        MountSource::Volume { name, .. } => wire::Mount {
            r#type: "volume".to_owned(),
            source: name.clone().unwrap_or_default(),
            volume_options: given(volume_options(&mount.source)),
            ..wire::Mount::default()
        },
        MountSource::Tmpfs { .. } => wire::Mount {
            r#type: "tmpfs".to_owned(),
            tmpfs_options: given(tmpfs_options(&mount.source)),
            ..wire::Mount::default()
        },
    };
    wire.target.clone_from(&mount.target);
    wire.read_only = mount.read_only;
    wire
}

/// Options are left out where none was set.
fn given<T: Default + PartialEq>(options: T) -> Option<T> {
    Some(options).filter(|options| *options != T::default())
}

fn bind_options(mount: &MountSpec, create_missing: bool) -> wire::BindOptions {
    wire::BindOptions {
        propagation: mount.propagation.map_or("", propagation_text).to_owned(),
        non_recursive: mount.submounts == Submounts::Excluded,
        read_only_non_recursive: mount.submounts == Submounts::Writable,
        read_only_force_recursive: mount.submounts == Submounts::ReadOnly,
        create_mountpoint: create_missing,
    }
}

fn volume_options(source: &MountSource) -> wire::VolumeOptions {
    let MountSource::Volume {
        no_copy,
        subpath,
        driver,
        driver_options,
        labels,
        ..
    } = source
    else {
        return wire::VolumeOptions::default();
    };
    let subpath = subpath.as_ref().map(|path| path.display().to_string());
    wire::VolumeOptions {
        no_copy: *no_copy,
        labels: labels.clone(),
        subpath: subpath.unwrap_or_default(),
        driver_config: given(wire::DriverConfig {
            name: driver.clone().unwrap_or_default(),
            options: driver_options.clone(),
        }),
    }
}

fn tmpfs_options(source: &MountSource) -> wire::TmpfsOptions {
    let MountSource::Tmpfs {
        size_bytes,
        mode,
        options,
    } = source
    else {
        return wire::TmpfsOptions::default();
    };
    let pair = |text: &String| text.split('=').map(str::to_owned).collect();
    let size_bytes = size_bytes.and_then(|size| i64::try_from(size).ok());
    wire::TmpfsOptions {
        size_bytes: size_bytes.unwrap_or(0),
        mode: mode.map_or(0, i64::from),
        options: options.iter().map(pair).collect(),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    #[test]
    fn long_mounts_are_checked() {
        let mount = |kind: &str, source: &str, target: &str| wire::Mount {
            r#type: kind.to_owned(),
            source: source.to_owned(),
            target: target.to_owned(),
            ..wire::Mount::default()
        };
        let bad = [
            (mount("bind", "/a", ""), "field Target must not be empty"),
            (mount("bind", "", "/b"), "field Source must not be empty"),
            (mount("bind", "a", "/b"), "mount path must be absolute"),
            (mount("bind", "/a", "b"), "mount path must be absolute"),
            (
                mount("tmpfs", "/a", "/b"),
                "field Source must not be specified",
            ),
            (mount("", "/a", "/b"), "mount type unknown"),
            (mount("npipe", "/a", "/b"), "mount type unknown"),
            (
                mount("image", "a", "/b"),
                "mounts of type image are not supported",
            ),
            (
                wire::Mount {
                    volume_options: Some(wire::VolumeOptions::default()),
                    ..mount("bind", "/a", "/b")
                },
                "field VolumeOptions must not be specified",
            ),
        ];
        for (wire, why) in bad {
            let error = long_mount(&wire).unwrap_err();
            assert!(error.message.contains(why), "{}", error.message);
        }
        let anonymous = long_mount(&mount("volume", "", "/b")).unwrap();
        assert_eq!(
            anonymous.source,
            MountSource::Volume {
                name: None,
                no_copy: false,
                subpath: None,
                driver: None,
                driver_options: BTreeMap::new(),
                labels: BTreeMap::new(),
            }
        );
    }
}
