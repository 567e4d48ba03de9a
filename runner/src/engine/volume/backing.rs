//! What the options of docker's `local` driver mean: `type`, `device` and `o`, as mount(8) has
//! them.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::CreateVolume;
use crate::engine::error::EngineError;

/// Where a volume's files are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Backing {
    /// In a directory of the engine's.
    Directory,
    /// `type=none,o=bind`: in a directory of the host's.
    Bind(PathBuf),
    /// On a file system that is mounted while a container uses the volume.
    FileSystem(FileSystem),
}

/// What is mounted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct FileSystem {
    pub(super) fs_type: String,
    pub(super) device: PathBuf,
    pub(super) options: Vec<String>,
}

impl Backing {
    /// Of options that [`check`] let through.
    pub(super) fn of(options: &BTreeMap<String, String>) -> Self {
        let Some(device) = options.get("device") else {
            return Self::Directory;
        };
        let option = |key: &str| options.get(key).map_or("", String::as_str);
        if matches!(option("type"), "" | "none" | "bind") && matches!(option("o"), "bind" | "rbind")
        {
            return Self::Bind(device.into());
        }
        Self::FileSystem(FileSystem {
            fs_type: option("type").to_owned(),
            device: device.into(),
            options: option("o")
                .split(',')
                .filter(|word| !word.is_empty())
                .map(str::to_owned)
                .collect(),
        })
    }
}

/// Refuses other drivers, and options that docker's local driver does not take.
pub(super) fn check(request: &CreateVolume) -> Result<(), EngineError> {
    if !matches!(request.driver.as_str(), "" | "local") {
        return Err(EngineError::NotFound(format!(
            "error looking up volume plugin {0}: plugin \"{0}\" not found",
            request.driver
        )));
    }
    let options = &request.options;
    let refuse = |message: String| Err(EngineError::InvalidParameter(message));
    for key in options.keys() {
        match key.as_str() {
            "type" | "o" | "device" => {}
            "size" => return refuse("quota size requested but no quota support".to_owned()),
            other => return refuse(format!("invalid option: \"{other}\"")),
        }
    }
    for (key, needed) in [
        ("device", "type"),
        ("type", "device"),
        ("o", "device"),
        ("o", "type"),
    ] {
        if options.contains_key(key) && !options.contains_key(needed) {
            return refuse(format!("missing required option: \"{needed}\""));
        }
    }
    match Backing::of(options) {
        Backing::Bind(path) if !Path::new(&path).is_absolute() => refuse(format!(
            "invalid mount path: '{}' mount path must be absolute",
            path.display()
        )),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
        let pairs = pairs.iter();
        pairs
            .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
            .collect()
    }

    #[test]
    fn options_say_where_the_files_are() {
        let of = |pairs| Backing::of(&options(pairs));
        assert_eq!(of(&[]), Backing::Directory);
        assert_eq!(
            of(&[("type", "none"), ("o", "bind"), ("device", "/srv")]),
            Backing::Bind("/srv".into())
        );
        let tmpfs = of(&[("type", "tmpfs"), ("device", "tmpfs"), ("o", "size=1m,ro")]);
        assert_eq!(
            tmpfs,
            Backing::FileSystem(FileSystem {
                fs_type: "tmpfs".to_owned(),
                device: "tmpfs".into(),
                options: vec!["size=1m".to_owned(), "ro".to_owned()],
            })
        );
    }

    #[test]
    fn what_the_driver_does_not_take_is_refused() {
        let check = |driver: &str, pairs: &[(&str, &str)]| {
            check(&CreateVolume {
                driver: driver.to_owned(),
                options: options(pairs),
                ..CreateVolume::default()
            })
        };
        let nfs = [("type", "nfs"), ("o", "addr=x"), ("device", ":/x")];
        assert!(check("local", &nfs).is_ok());
        assert!(check("", &[]).is_ok());
        for (pairs, reason) in [
            (&[("size", "1")][..], "quota"),
            (&[("nosuch", "1")], "invalid option"),
            (&[("type", "tmpfs")], "\"device\""),
            (&[("device", "/x")], "\"type\""),
            (
                &[("type", "none"), ("o", "bind"), ("device", "srv")],
                "absolute",
            ),
        ] {
            let error = check("local", pairs).expect_err(reason).to_string();
            assert!(error.contains(reason), "{error}");
        }
        assert!(matches!(
            check("nosuch", &[]),
            Err(EngineError::NotFound(_))
        ));
    }
}
