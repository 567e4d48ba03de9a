//! What a COPY or ADD names: files below a directory that nothing leads out of.

use std::ffi::OsStr;
use std::io::{self, Read as _};
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use hythe_oci::compression;
use hythe_oci::ignore_file::NamePattern;

use crate::engine::EngineError;
use crate::engine::lookup::{self, Found};
use crate::sys::dir::{Directory, Kind, kind_of};

/// The longest path of a pattern's match.
const MAX_DEPTH: usize = 64;

/// Something to be copied.
#[derive(Debug)]
pub(super) enum Item {
    /// What is in a directory, without the directory itself.
    Content(Directory),
    /// A file or another object, under its own name.
    Object { found: Found, name: PathBuf },
    /// An archive whose content is meant.
    Archive(Found),
    /// A here-document.
    Inline { name: PathBuf, bytes: Vec<u8> },
}

/// The paths that `text`, a path or a pattern, stands for below `root`.
fn paths(root: &Directory, text: &str) -> Result<Vec<PathBuf>, EngineError> {
    let mut found = vec![PathBuf::new()];
    let names: Vec<&str> = text
        .split('/')
        .filter(|name| !matches!(*name, "" | "."))
        .collect();
    if names.len() > MAX_DEPTH {
        return Err(EngineError::InvalidParameter(format!(
            "{text}: path too deep"
        )));
    }
    for name in names {
        if name == ".." {
            // Clamped at the root, as in a chroot.
            for path in &mut found {
                path.pop();
            }
        } else if NamePattern::is_pattern(name) {
            let pattern = NamePattern::parse(name)
                .map_err(|error| EngineError::InvalidParameter(error.to_string()))?;
            let mut next = Vec::new();
            for path in found {
                next.extend(matching(root, &path, &pattern)?);
            }
            found = next;
        } else {
            for path in &mut found {
                path.push(name);
            }
        }
    }
    Ok(found)
}

fn matching(
    root: &Directory,
    path: &Path,
    pattern: &NamePattern,
) -> Result<Vec<PathBuf>, EngineError> {
    let directory = match lookup::find(root, path, "./") {
        Ok(found) => Directory::at(&found.parent)?,
        Err(_) => return Ok(Vec::new()),
    };
    let names = directory.names()?.into_iter();
    Ok(names
        .filter(|name| name.to_str().is_ok_and(|name| pattern.matches(name)))
        .map(|name| path.join(OsStr::from_bytes(name.to_bytes())))
        .collect())
}

/// Everything that `text` stands for, links followed.
pub(super) fn items(root: &Directory, text: &str, unpacks: bool) -> Result<Vec<Item>, EngineError> {
    let missing = || {
        EngineError::InvalidParameter(format!(
            "COPY failed: file not found in build context or excluded by .dockerignore: stat \
             {text}: file does not exist"
        ))
    };
    let paths = paths(root, text)?;
    if paths.is_empty() {
        return Err(EngineError::InvalidParameter(
            "COPY failed: no source files were specified".to_owned(),
        ));
    }
    let mut items = Vec::new();
    for path in paths {
        let found = match lookup::find_target(root, &path) {
            Ok(found) => found,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Err(missing()),
            Err(error) => return Err(error.into()),
        };
        let stat = found.parent.stat(&found.name)?.ok_or_else(missing)?;
        items.push(match kind_of(&stat) {
            Kind::Directory => Item::Content(if found.name.as_c_str() == c"." {
                found.parent
            } else {
                found.parent.open_child(&found.name)?
            }),
            Kind::File { .. } if unpacks && is_archive(&found)? => Item::Archive(found),
            _ => Item::Object {
                name: PathBuf::from(path.file_name().unwrap_or(OsStr::new("."))),
                found,
            },
        });
    }
    Ok(items)
}

/// Whether a file is a tar, compressed or not.
fn is_archive(found: &Found) -> io::Result<bool> {
    let file = found.parent.open_file(&found.name)?;
    let mut block = Vec::new();
    let content = compression::decoder(io::BufReader::new(file))?;
    // What is no archive need not be readable as one.
    if content.take(512).read_to_end(&mut block).is_err() || block.len() < 512 {
        return Ok(false);
    }
    let mut header = tar::Header::new_old();
    header.as_mut_bytes().copy_from_slice(&block);
    let claimed = header.cksum().ok();
    header.set_cksum();
    Ok(claimed.is_some() && header.cksum().ok() == claimed)
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn patterns_and_links_stay_inside() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().join("root");
        fs::create_dir_all(root.join("a/b")).unwrap();
        for name in ["a/x.jar", "a/y.jar", "a/z.txt", "a/b/x.jar"] {
            fs::write(root.join(name), name).unwrap();
        }
        symlink("/a/z.txt", root.join("link")).unwrap();
        symlink("../../../etc", root.join("out")).unwrap();
        let root = Directory::open(&root).unwrap();
        let names = |text: &str| -> Vec<String> {
            let items = items(&root, text, false).unwrap().into_iter();
            items
                .map(|item| match item {
                    Item::Object { name, .. } => name.display().to_string(),
                    Item::Content(_) => "content".to_owned(),
                    other => panic!("{other:?}"),
                })
                .collect()
        };
        assert_eq!(names("a/*.jar"), ["x.jar", "y.jar"]);
        assert_eq!(names("*/b/?.jar"), ["x.jar"]);
        assert_eq!(names("/a/../../a"), ["content"]);
        assert_eq!(names("."), ["content"]);
        assert_eq!(names("link"), ["link"]);
        for missing in ["nosuch", "*.nosuch", "out", "out/passwd"] {
            assert!(items(&root, missing, false).is_err(), "{missing}");
        }
    }
}
