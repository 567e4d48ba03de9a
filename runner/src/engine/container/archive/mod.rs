//! Files of a container going out and coming in: `docker cp`, `docker export`.
//!
//! Every path is resolved below the container's root as its own processes would resolve it; no
//! link leads out of it, not even one that is put there while we look.

use std::ffi::CString;
use std::io;
use std::path::Path;

use super::cell::Container;
use super::request::PutArchive;
use super::rootfs;
use super::view::PathStat;
use crate::engine::error::chain;
use crate::engine::lookup::{self, Found};
use crate::engine::pack::Rewrite;
use crate::engine::{ByteStream, Engine, EngineError, channel, pack};
use crate::image::unpack::{self, Merge, UnpackError};
use crate::spec::ContainerRef;
use crate::sys::dir::Directory;

impl Engine {
    /// The whole root file system as tar.
    pub async fn export_container(
        &self,
        container: &ContainerRef,
    ) -> Result<ByteStream, EngineError> {
        let container = self.find_container(container)?;
        let snapshot = self.shared.images.snapshot(container.id());
        let snapshot = snapshot
            .map_err(|error| EngineError::internal("finding the container's layer", &error))?;
        // What is mounted in the container is no part of it.
        let root = blocking(move || rootfs::mount_read_only(&snapshot)).await?;
        self.container_event(&container, "export", &[]);
        Ok(channel::written(move |writer| {
            pack::pack_content(&root, writer)
        }))
    }

    /// What a path of the container is; a last component that is a link is not followed.
    pub async fn stat_archive(
        &self,
        container: &ContainerRef,
        path: &str,
    ) -> Result<PathStat, EngineError> {
        let container = self.find_container(container)?;
        Ok(self.find_path(&container, path).await?.0.stat)
    }

    /// A path of the container as tar, entries under its base name.
    pub async fn get_archive(
        &self,
        container: &ContainerRef,
        path: &str,
    ) -> Result<(PathStat, ByteStream), EngineError> {
        let container = self.find_container(container)?;
        let (found, mapped_root) = self.find_path(&container, path).await?;
        let stat = found.stat.clone();
        self.container_event(&container, "archive-path", &[]);
        let stream = channel::written(move |writer| {
            let rewrite = Rewrite {
                mapped_root,
                ..Rewrite::default()
            };
            let object = (&found.parent, &*found.name);
            pack::pack_object(object, &found.archive_name, rewrite, writer)
        });
        Ok((stat, stream))
    }

    async fn find_path(
        &self,
        container: &std::sync::Arc<Container>,
        path: &str,
    ) -> Result<(Found, Option<(u32, u32)>), EngineError> {
        let (engine, of, wanted) = (
            self.clone(),
            std::sync::Arc::clone(container),
            path.to_owned(),
        );
        let found = blocking(move || {
            let place = engine.place(&of, Path::new(&format!("/{wanted}")))?;
            let found = lookup::find(&place.root, &place.path, &wanted)?;
            Ok((found, place.mapped_root))
        });
        found
            .await
            .map_err(|error| not_found(&error, container, path))
    }

    /// Unpacks a tar, plain or compressed, into a directory of the container.
    pub async fn put_archive(
        &self,
        container: &ContainerRef,
        request: PutArchive,
        body: ByteStream,
    ) -> Result<(), EngineError> {
        let container = self.find_container(container)?;
        let (engine, of, path) = (
            self.clone(),
            std::sync::Arc::clone(&container),
            request.path.clone(),
        );
        let opened = blocking(move || {
            let place = engine.place(&of, Path::new(&format!("/{path}")))?;
            let below = CString::new(place.path.as_os_str().as_encoded_bytes())?;
            let below = if below.is_empty() {
                c".".to_owned()
            } else {
                below
            };
            let directory = place.root.open_in_root(&below)?;
            Ok((directory, place.read_only, place.mapped_root))
        });
        let (directory, read_only, mapped_root) =
            opened.await.map_err(|error| match error.kind() {
                io::ErrorKind::NotADirectory => {
                    EngineError::InvalidParameter("extraction point is not a directory".to_owned())
                }
                _ => not_found(&error, &container, &request.path),
            })?;
        if read_only {
            return Err(EngineError::Forbidden(
                "container rootfs or volume is marked read-only".to_owned(),
            ));
        }
        let merge = Merge {
            keep_kinds: request.no_overwrite_dir_non_dir,
            owner: if request.copy_uid_gid {
                numeric_owner(&container.read(|record| record.config.user.clone()))
            } else {
                None
            },
            mapped_root,
        };
        self.unpack_into(directory, merge, body).await?;
        self.container_event(&container, "extract-to-dir", &[]);
        Ok(())
    }

    async fn unpack_into(
        &self,
        directory: Directory,
        merge: Merge,
        body: ByteStream,
    ) -> Result<(), EngineError> {
        let reader = channel::reader(body);
        let unpacked =
            tokio::task::spawn_blocking(move || unpack::unpack_files(reader, directory, merge));
        let unpacked = unpacked
            .await
            .map_err(|error| EngineError::internal("unpacking", &error))?;
        match unpacked {
            Ok(_) => Ok(()),
            Err(error @ UnpackError::Write { .. }) => {
                Err(EngineError::internal("unpacking", &error))
            }
            Err(error) => Err(EngineError::InvalidParameter(chain(&error))),
        }
    }
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> io::Result<T> {
    tokio::task::spawn_blocking(work)
        .await
        .map_err(io::Error::other)?
}

impl From<io::Error> for EngineError {
    fn from(error: io::Error) -> Self {
        Self::Internal(chain(&error))
    }
}

fn not_found(error: &io::Error, container: &Container, path: &str) -> EngineError {
    match error.kind() {
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => EngineError::NotFound(format!(
            "Could not find the file {path} in container {}",
            container.read(|record| record.name.to_string())
        )),
        _ => EngineError::internal("looking for the file", error),
    }
}

/// A user given by numbers. Names would have to be looked up where the container can change
/// them; `cp -a` keeps the archive's owners then.
fn numeric_owner(user: &str) -> Option<(u32, u32)> {
    let (uid, gid) = user.split_once(':').unwrap_or((user, ""));
    let uid = uid.parse().ok()?;
    Some((uid, gid.parse().unwrap_or(0)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn owners_by_number() {
        assert_eq!(numeric_owner("1000"), Some((1000, 0)));
        assert_eq!(numeric_owner("1000:50"), Some((1000, 50)));
        assert_eq!(numeric_owner("www-data"), None);
        assert_eq!(numeric_owner(""), None);
    }
}
