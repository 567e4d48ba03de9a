//! `-v [source:]target[:options]`.

use std::path::Path;

use super::InvalidValue;

/// What one `-v` asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum VolumeSpec {
    /// A path in the container that gets a volume of its own.
    Anonymous(String),
    /// A host path or a named volume, as the API's `Binds` has it.
    Bind(String),
}

/// Parses one `-v`. A source that starts with a dot is taken from `current_directory`.
pub(crate) fn parse_volume(
    text: &str,
    current_directory: &Path,
) -> Result<VolumeSpec, InvalidValue> {
    let invalid = || InvalidValue::new(format!("invalid volume specification: '{text}'"));
    let parts: Vec<&str> = text.split(':').collect();
    if parts.iter().any(|part| part.is_empty()) {
        return Err(InvalidValue::new(format!(
            "invalid spec: {text}: empty section between colons"
        )));
    }
    let (source, target, options) = match parts[..] {
        [target] => {
            absolute(target).ok_or_else(invalid)?;
            return Ok(VolumeSpec::Anonymous(target.to_owned()));
        }
        [source, target] => (source, target, None),
        [source, target, options] => (source, target, Some(options)),
        _ => return Err(invalid()),
    };
    absolute(target).ok_or_else(invalid)?;
    let source = if source.starts_with('.') {
        let joined = current_directory.join(source);
        lexically_clean(&joined)
    } else {
        source.to_owned()
    };
    Ok(VolumeSpec::Bind(match options {
        Some(options) => format!("{source}:{target}:{options}"),
        None => format!("{source}:{target}"),
    }))
}

fn absolute(path: &str) -> Option<()> {
    path.starts_with('/').then_some(())
}

/// Drops `.` and takes `..` back without asking the disk: the path may not exist yet.
fn lexically_clean(path: &Path) -> String {
    use std::path::Component;
    let mut clean = std::path::PathBuf::from("/");
    for component in path.components() {
        match component {
            Component::ParentDir => {
                clean.pop();
            }
            Component::Normal(name) => clean.push(name),
            Component::CurDir | Component::RootDir | Component::Prefix(_) => {}
        }
    }
    clean.to_string_lossy().into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn volumes() {
        let cases = [
            ("/data", VolumeSpec::Anonymous("/data".to_owned())),
            ("v:/data", VolumeSpec::Bind("v:/data".to_owned())),
            (
                "/h:/data:ro,z",
                VolumeSpec::Bind("/h:/data:ro,z".to_owned()),
            ),
            ("./x:/data", VolumeSpec::Bind("/work/x:/data".to_owned())),
            ("../x:/data:ro", VolumeSpec::Bind("/x:/data:ro".to_owned())),
            (".:/data", VolumeSpec::Bind("/work:/data".to_owned())),
        ];
        for (text, expected) in cases {
            assert_eq!(parse_volume(text, Path::new("/work")), Ok(expected));
        }
        for text in ["", "data", "v:", ":/data", "v:data", "a:/b:ro:x"] {
            assert!(parse_volume(text, Path::new("/work")).is_err(), "{text}");
        }
    }
}
