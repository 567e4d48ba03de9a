//! `--mount type=bind,source=/a,target=/b,readonly`.

use std::collections::HashMap;
use std::path::Path;

use bollard_stubs::models::{
    Mount, MountBindOptions, MountBindOptionsPropagationEnum, MountImageOptions, MountTmpfsOptions,
    MountType, MountVolumeOptions, MountVolumeOptionsDriverConfig,
};

use super::{InvalidValue, parse_bytes};

/// Parses one `--mount`. A bind source that starts with a dot is taken from `current_directory`.
pub(crate) fn parse_mount(text: &str, current_directory: &Path) -> Result<Mount, InvalidValue> {
    let mut parsed = Parsed::default();
    for field in split_fields(text)? {
        let (key, value) = match field.split_once('=') {
            Some((key, value)) => (key.trim().to_ascii_lowercase(), Some(value.to_owned())),
            None => (field.trim().to_ascii_lowercase(), None),
        };
        parsed.set(&key, value.as_deref(), &field)?;
    }
    parsed.finish(current_directory)
}

/// The fields seen so far; options are kept apart per kind of mount until the kind is known.
#[derive(Debug, Default)]
struct Parsed {
    kind: Option<MountType>,
    source: Option<String>,
    target: Option<String>,
    read_only: Option<bool>,
    consistency: Option<String>,
    bind: MountBindOptions,
    volume: MountVolumeOptions,
    image: MountImageOptions,
    tmpfs: MountTmpfsOptions,
}

impl Parsed {
    fn set(&mut self, key: &str, value: Option<&str>, field: &str) -> Result<(), InvalidValue> {
        // These may stand alone; everything else needs a value.
        match key {
            "readonly" | "ro" => {
                self.read_only = Some(boolean(key, value)?);
                return Ok(());
            }
            "volume-nocopy" => {
                self.volume.no_copy = Some(boolean(key, value)?);
                return Ok(());
            }
            "bind-nonrecursive" => {
                self.bind.non_recursive = Some(boolean(key, value)?);
                return Ok(());
            }
            _ => {}
        }
        let value = value.ok_or_else(|| {
            InvalidValue::new(format!("invalid field '{field}' must be a key=value pair"))
        })?;
        let owned = || Some(value.to_owned());
        match key {
            "type" => self.kind = Some(kind(value)?),
            "source" | "src" => self.source = owned(),
            "target" | "dst" | "destination" => self.target = owned(),
            "consistency" => self.consistency = owned(),
            "bind-propagation" => self.bind.propagation = Some(propagation(value)?),
            "bind-create-src" => self.bind.create_mountpoint = Some(boolean(key, Some(value))?),
            "bind-recursive" => self.recursive(value)?,
            "volume-subpath" => self.volume.subpath = owned(),
            "volume-driver" => self.driver().name = owned(),
            "volume-label" => add_pair(self.volume.labels.get_or_insert_default(), value),
            "volume-opt" => add_pair(self.driver().options.get_or_insert_default(), value),
            "image-subpath" => self.image.subpath = owned(),
            "tmpfs-size" => self.tmpfs.size_bytes = Some(parse_bytes(value)?),
            "tmpfs-mode" => {
                self.tmpfs.mode =
                    Some(i64::from_str_radix(value, 8).map_err(|_| {
                        InvalidValue::new(format!("invalid value for {key}: {value}"))
                    })?);
            }
            _ => {
                return Err(InvalidValue::new(format!(
                    "unexpected key '{key}' in '{field}'"
                )));
            }
        }
        Ok(())
    }

    fn driver(&mut self) -> &mut MountVolumeOptionsDriverConfig {
        self.volume.driver_config.get_or_insert_default()
    }

    fn recursive(&mut self, value: &str) -> Result<(), InvalidValue> {
        match value {
            "enabled" => {}
            "disabled" => self.bind.non_recursive = Some(true),
            "writable" => self.bind.read_only_non_recursive = Some(true),
            "readonly" => self.bind.read_only_force_recursive = Some(true),
            _ => {
                return Err(InvalidValue::new(format!(
                    "invalid value for bind-recursive: {value} (must be \"enabled\", \
                     \"disabled\", \"writable\", or \"readonly\")"
                )));
            }
        }
        Ok(())
    }

    fn finish(self, current_directory: &Path) -> Result<Mount, InvalidValue> {
        let kind = self.kind.unwrap_or(MountType::VOLUME);
        let target = self
            .target
            .ok_or_else(|| InvalidValue::new("target is required"))?;
        let used = |options: bool, kinds: MountType, name: &str| {
            if options && kind != kinds {
                Err(InvalidValue::new(format!(
                    "cannot mix '{name}-*' options with mount type '{kind}'"
                )))
            } else {
                Ok(options)
            }
        };
        let bind = used(
            self.bind != MountBindOptions::default(),
            MountType::BIND,
            "bind",
        )?;
        let volume = used(
            self.volume != MountVolumeOptions::default(),
            MountType::VOLUME,
            "volume",
        )?;
        let image = used(
            self.image != MountImageOptions::default(),
            MountType::IMAGE,
            "image",
        )?;
        let tmpfs = used(
            self.tmpfs != MountTmpfsOptions::default(),
            MountType::TMPFS,
            "tmpfs",
        )?;
        let source = match self.source {
            Some(source) if kind == MountType::BIND && source.starts_with('.') => Some(
                current_directory
                    .join(source)
                    .to_string_lossy()
                    .into_owned(),
            ),
            source => source,
        };
        Ok(Mount {
            target: Some(target),
            source,
            typ: Some(kind),
            read_only: self.read_only,
            consistency: self.consistency,
            bind_options: bind.then_some(self.bind),
            volume_options: volume.then_some(self.volume),
            image_options: image.then_some(self.image),
            tmpfs_options: tmpfs.then_some(self.tmpfs),
        })
    }
}

fn kind(value: &str) -> Result<MountType, InvalidValue> {
    match value.to_ascii_lowercase().as_str() {
        "bind" => Ok(MountType::BIND),
        "volume" => Ok(MountType::VOLUME),
        "tmpfs" => Ok(MountType::TMPFS),
        "image" => Ok(MountType::IMAGE),
        other => Err(InvalidValue::new(format!("mount type unknown: {other}"))),
    }
}

fn propagation(value: &str) -> Result<MountBindOptionsPropagationEnum, InvalidValue> {
    match value.to_ascii_lowercase().as_str() {
        "private" => Ok(MountBindOptionsPropagationEnum::PRIVATE),
        "rprivate" => Ok(MountBindOptionsPropagationEnum::RPRIVATE),
        "shared" => Ok(MountBindOptionsPropagationEnum::SHARED),
        "rshared" => Ok(MountBindOptionsPropagationEnum::RSHARED),
        "slave" => Ok(MountBindOptionsPropagationEnum::SLAVE),
        "rslave" => Ok(MountBindOptionsPropagationEnum::RSLAVE),
        other => Err(InvalidValue::new(format!(
            "invalid propagation mode: {other}"
        ))),
    }
}

fn boolean(key: &str, value: Option<&str>) -> Result<bool, InvalidValue> {
    match value {
        None | Some("true" | "1") => Ok(true),
        Some("false" | "0") => Ok(false),
        Some(other) => Err(InvalidValue::new(format!(
            "invalid value for {key}: {other}"
        ))),
    }
}

fn add_pair(map: &mut HashMap<String, String>, text: &str) {
    let (key, value) = text.split_once('=').unwrap_or((text, ""));
    map.insert(key.to_owned(), value.to_owned());
}

/// Splits a line of comma separated values; a field in double quotes may hold commas.
pub(super) fn split_fields(text: &str) -> Result<Vec<String>, InvalidValue> {
    let mut fields = Vec::new();
    let mut rest = text;
    loop {
        let (field, after) = match rest.strip_prefix('"') {
            Some(quoted) => {
                let (field, after) = quoted
                    .split_once('"')
                    .ok_or_else(|| InvalidValue::new(format!("unbalanced quote in '{text}'")))?;
                if !(after.is_empty() || after.starts_with(',')) {
                    return Err(InvalidValue::new(format!("unbalanced quote in '{text}'")));
                }
                (field, after.strip_prefix(','))
            }
            None => match rest.split_once(',') {
                Some((field, after)) => (field, Some(after)),
                None => (rest, None),
            },
        };
        if field.trim().is_empty() {
            return Err(InvalidValue::new(format!("empty field in '{text}'")));
        }
        fields.push(field.to_owned());
        match after {
            Some(after) => rest = after,
            None => return Ok(fields),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn parse(text: &str) -> Result<Mount, InvalidValue> {
        parse_mount(text, Path::new("/work"))
    }

    #[test]
    fn a_bind() {
        let mount = parse("type=bind,src=/a,dst=/b,readonly,bind-propagation=rslave").unwrap();
        assert_eq!(mount.typ, Some(MountType::BIND));
        assert_eq!(mount.source.as_deref(), Some("/a"));
        assert_eq!(mount.target.as_deref(), Some("/b"));
        assert_eq!(mount.read_only, Some(true));
        assert_eq!(
            mount.bind_options.unwrap().propagation,
            Some(MountBindOptionsPropagationEnum::RSLAVE)
        );
        let mount = parse("type=bind,source=./x,target=/b").unwrap();
        assert_eq!(mount.source.as_deref(), Some("/work/./x"));
    }

    #[test]
    fn a_volume_is_what_is_meant_without_a_type() {
        let mount =
            parse(r#"source=v,target=/d,volume-driver=local,"volume-opt=o=a,b",volume-nocopy"#)
                .unwrap();
        assert_eq!(mount.typ, Some(MountType::VOLUME));
        let options = mount.volume_options.unwrap();
        assert_eq!(options.no_copy, Some(true));
        let driver = options.driver_config.unwrap();
        assert_eq!(driver.name.as_deref(), Some("local"));
        assert_eq!(driver.options.unwrap()["o"], "a,b");
    }

    #[test]
    fn a_tmpfs() {
        let options = parse("type=tmpfs,target=/t,tmpfs-size=1m,tmpfs-mode=1770")
            .unwrap()
            .tmpfs_options
            .unwrap();
        assert_eq!(options.size_bytes, Some(1 << 20));
        assert_eq!(options.mode, Some(0o1770));
    }

    #[test]
    fn mistakes_are_told() {
        for text in [
            "",
            "type=bind,source=/a",
            "type=nfs,target=/a",
            "target=/a,what=1",
            "target=/a,source",
            "type=tmpfs,target=/a,volume-nocopy",
            "target=/a,readonly=perhaps",
            "target=/a,tmpfs-mode=9",
            "\"target=/a",
            "target=/a,,ro",
        ] {
            assert!(parse(text).is_err(), "{text}");
        }
    }

    proptest! {
        #[test]
        fn never_panics(text in ".{0,40}") {
            _ = parse(&text);
        }
    }
}
