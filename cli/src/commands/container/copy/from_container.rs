//! Out of a container: the archive's first name is replaced by what the destination asks for.

use std::io::Read;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use futures_util::TryStreamExt as _;
use http_body_util::BodyExt as _;
use tokio_util::io::{StreamReader, SyncIoBridge};

use super::{Options, link_destination, means_contents, read_stat, stat};
use crate::api::{Api, Call};
use crate::commands::archive;

/// Copies, and returns the bytes that were moved.
pub(super) async fn copy(
    api: &Api,
    (container, path): (&str, &str),
    destination: &str,
    options: Options,
) -> anyhow::Result<u64> {
    let mut source = path.to_owned();
    if options.follow_link
        && let Some(found) = stat(api, container, path).await?
        && found.is_symlink()
    {
        source = link_destination(path, &found.link_target);
    }
    let call = Call::get(super::super::path(container, "/archive")).query("path", &source);
    let response = api.send(call).await?;
    if destination == "-" {
        archive::refuse_terminal(None)?;
        archive::save(response, None).await?;
        return Ok(0);
    }
    let is_directory = read_stat(response.headers())?.is_directory();
    let target = Target::choose(
        Path::new(destination),
        is_directory,
        means_contents(&source),
    )?;
    let body = response.into_body().into_data_stream();
    let reader = StreamReader::new(body.map_err(std::io::Error::other));
    let reader = SyncIoBridge::new(reader);
    tokio::task::spawn_blocking(move || target.unpack(reader, options.archive))
        .await
        .context("unpacking ended early")?
}

/// Where the archive goes.
#[derive(Debug, PartialEq, Eq)]
enum Target {
    /// Into this folder, under its own name.
    Into(PathBuf),
    /// To this very path.
    As(PathBuf),
}

impl Target {
    fn choose(destination: &Path, is_directory: bool, contents: bool) -> anyhow::Result<Self> {
        let shown = destination.display();
        let says_directory = destination.as_os_str().as_encoded_bytes().ends_with(b"/");
        match destination.metadata() {
            Ok(found) if found.is_dir() => Ok(Self::Into(destination.to_owned())),
            Ok(_) if is_directory => {
                anyhow::bail!("cannot copy a directory to the file {shown}")
            }
            Ok(_) if says_directory => anyhow::bail!("not a directory: {shown}"),
            Err(_) if says_directory && !is_directory => {
                anyhow::bail!("no such directory: {shown}")
            }
            Err(_) if contents => {
                std::fs::create_dir(destination).with_context(|| format!("create {shown}"))?;
                Ok(Self::Into(destination.to_owned()))
            }
            Ok(_) | Err(_) => Ok(Self::As(destination.to_owned())),
        }
    }

    fn unpack(&self, reader: impl Read, keep_owners: bool) -> anyhow::Result<u64> {
        match self {
            Self::Into(folder) => unpack_into(folder, reader, keep_owners),
            Self::As(path) => {
                let folder = match path.parent() {
                    Some(folder) if folder != Path::new("") => folder,
                    _ => Path::new("."),
                };
                // Beside the destination first, then one rename: it appears whole.
                let temporary = tempfile::tempdir_in(folder)
                    .with_context(|| format!("cannot write to {}", folder.display()))?;
                let n_bytes = unpack_into(temporary.path(), reader, keep_owners)?;
                let only = std::fs::read_dir(temporary.path())?
                    .next()
                    .context("the archive is empty")??;
                std::fs::rename(only.path(), path)
                    .with_context(|| format!("cannot write {}", path.display()))?;
                Ok(n_bytes)
            }
        }
    }
}

fn unpack_into(folder: &Path, reader: impl Read, keep_owners: bool) -> anyhow::Result<u64> {
    let mut counted = Counted {
        inner: reader,
        n_bytes: 0,
    };
    let mut archive = tar::Archive::new(&mut counted);
    archive.set_preserve_permissions(true);
    archive.set_preserve_ownerships(keep_owners);
    archive.set_preserve_mtime(true);
    for entry in archive.entries()? {
        let mut entry = entry?;
        let name = entry.path()?.display().to_string();
        // Refuses names that lead out of the folder, be it by dots or by links.
        let unpacked = entry
            .unpack_in(folder)
            .with_context(|| format!("cannot unpack {name}"))?;
        anyhow::ensure!(
            unpacked,
            "refusing to unpack {name} outside of the destination"
        );
    }
    Ok(counted.n_bytes)
}

/// Counts what passes through it.
struct Counted<R> {
    inner: R,
    n_bytes: u64,
}

impl<R: Read> Read for Counted<R> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let n_bytes = self.inner.read(buffer)?;
        self.n_bytes += n_bytes as u64;
        Ok(n_bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn archive(names: &[(&str, &[u8])]) -> Vec<u8> {
        let mut builder = tar::Builder::new(Vec::new());
        for (name, bytes) in names {
            let mut header = tar::Header::new_gnu();
            header.set_size(bytes.len() as u64);
            header.set_mode(0o644);
            // Set by hand: the library would refuse to write a bad name.
            header.as_gnu_mut().unwrap().name[..name.len()].copy_from_slice(name.as_bytes());
            header.set_cksum();
            builder.append(&header, *bytes).unwrap();
        }
        builder.into_inner().unwrap()
    }

    #[test]
    fn a_file_takes_the_destinations_name() {
        let folder = tempfile::tempdir().unwrap();
        let target = Target::choose(&folder.path().join("new"), false, false).unwrap();
        let n_bytes = target
            .unpack(&archive(&[("old", b"text")])[..], false)
            .unwrap();
        assert!(n_bytes >= 1024);
        assert_eq!(std::fs::read(folder.path().join("new")).unwrap(), b"text");
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_folder_keeps_the_name() {
        let folder = tempfile::tempdir().unwrap();
        let target = Target::choose(folder.path(), false, false).unwrap();
        target
            .unpack(&archive(&[("old", b"text")])[..], false)
            .unwrap();
        assert_eq!(std::fs::read(folder.path().join("old")).unwrap(), b"text");
    }

    #[test]
    fn nothing_is_written_outside() {
        let folder = tempfile::tempdir().unwrap();
        let inner = folder.path().join("inner");
        std::fs::create_dir(&inner).unwrap();
        let target = Target::Into(inner);
        assert!(
            target
                .unpack(&archive(&[("../out", b"x")])[..], false)
                .is_err()
        );
        assert!(!folder.path().join("out").exists());
    }

    #[test]
    fn what_does_not_fit_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("file");
        std::fs::write(&file, "x").unwrap();
        assert!(Target::choose(&file, true, false).is_err());
        assert!(Target::choose(&folder.path().join("none/"), false, false).is_err());
    }
}
