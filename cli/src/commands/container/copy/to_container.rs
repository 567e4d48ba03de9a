//! Into a container: the archive is made while it is sent.

use std::path::{Path, PathBuf};

use anyhow::Context as _;

use super::{Options, link_destination, means_contents, stat};
use crate::api::{Api, Call};
use crate::commands::archive::{self, Packing};

/// Copies, and returns the bytes that were moved.
pub(super) async fn copy(
    api: &Api,
    source: &str,
    (container, path): (&str, &str),
    options: Options,
) -> anyhow::Result<u64> {
    let call = |folder: &str| {
        let call = Call::put(super::super::path(container, "/archive"))
            .query("path", folder)
            .query("noOverwriteDirNonDir", "true");
        if options.archive {
            call.query("copyUIDGID", "true")
        } else {
            call
        }
    };
    if source == "-" {
        let input = archive::open(None).await?;
        api.status(call(path).stream("application/x-tar", input))
            .await?;
        return Ok(0);
    }
    let local = if options.follow_link {
        std::fs::canonicalize(source)
    } else {
        Ok(PathBuf::from(source))
    }
    .with_context(|| format!("no such file or directory: {source}"))?;
    let (folder, name) = place(api, (source, &local), (container, path)).await?;
    let packing = Packing::start(move |builder| {
        if local.symlink_metadata()?.is_dir() {
            builder.append_dir_all(&name, &local)?;
        } else {
            builder.append_path_with_name(&local, &name)?;
        }
        Ok(())
    });
    let (stream, packed) = packing.into_parts();
    let sent = api
        .status(call(&folder).stream("application/x-tar", stream))
        .await;
    let (_, n_bytes) = packed.after(sent).await?;
    Ok(n_bytes)
}

/// The folder that the archive is unpacked in, and the name that the source has in it.
async fn place(
    api: &Api,
    (source, local): (&str, &Path),
    (container, path): (&str, &str),
) -> anyhow::Result<(String, PathBuf)> {
    let metadata = local
        .symlink_metadata()
        .with_context(|| format!("no such file or directory: {source}"))?;
    let mut destination = path.to_owned();
    let mut found = stat(api, container, path).await?;
    if let Some(link) = found.as_ref().filter(|found| found.is_symlink()) {
        destination = link_destination(path, &link.link_target);
        found = stat(api, container, &destination).await?;
    }
    match found {
        Some(found) if found.is_directory() => {
            let name = if means_contents(source) {
                PathBuf::from(".")
            } else {
                base_name(source, local)?
            };
            Ok((destination, name))
        }
        Some(_) if metadata.is_dir() => {
            anyhow::bail!("cannot copy a directory to the file {path}")
        }
        None if destination.ends_with('/') && !metadata.is_dir() => {
            anyhow::bail!("no such directory: {path}")
        }
        _ => {
            let (folder, name) = split_path(&destination);
            Ok((folder.to_owned(), name))
        }
    }
}

/// The last name of a path; `.` and `..` have to be looked up.
fn base_name(source: &str, local: &Path) -> anyhow::Result<PathBuf> {
    let name = match Path::new(source).file_name() {
        Some(name) => Some(name.to_owned()),
        None => std::fs::canonicalize(local)?
            .file_name()
            .map(ToOwned::to_owned),
    };
    Ok(name.map_or_else(|| PathBuf::from("."), PathBuf::from))
}

/// The folder of a path in the container, and the name in it.
fn split_path(path: &str) -> (&str, PathBuf) {
    let path = path
        .strip_suffix("/.")
        .unwrap_or(path)
        .trim_end_matches('/');
    match path.rsplit_once('/') {
        Some(("", name)) => ("/", PathBuf::from(name)),
        Some((folder, name)) => (folder, PathBuf::from(name)),
        None => ("/", PathBuf::from(path)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths() {
        let cases = [
            ("/a/b", ("/a", "b")),
            ("/a/", ("/", "a")),
            ("/a/.", ("/", "a")),
            ("a", ("/", "a")),
        ];
        for (path, (folder, name)) in cases {
            assert_eq!(split_path(path), (folder, PathBuf::from(name)), "{path}");
        }
    }
}
