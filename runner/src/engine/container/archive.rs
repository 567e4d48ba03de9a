//! Files of a container going out and coming in: `docker cp`, `docker export`.

use super::request::PutArchive;
use super::view::{Change, PathStat};
use crate::engine::{ByteStream, Engine, EngineError};
use crate::spec::ContainerRef;

impl Engine {
    /// What the container changed against its image, sorted by path.
    pub async fn container_changes(
        &self,
        container: &ContainerRef,
    ) -> Result<Vec<Change>, EngineError> {
        let _ = (self, container);
        todo!()
    }

    /// The whole root file system as tar.
    pub async fn export_container(
        &self,
        container: &ContainerRef,
    ) -> Result<ByteStream, EngineError> {
        let _ = (self, container);
        todo!()
    }

    pub async fn stat_archive(
        &self,
        container: &ContainerRef,
        path: &str,
    ) -> Result<PathStat, EngineError> {
        let _ = (self, container, path);
        todo!()
    }

    /// A path of the container as tar, entries under its base name.
    pub async fn get_archive(
        &self,
        container: &ContainerRef,
        path: &str,
    ) -> Result<(PathStat, ByteStream), EngineError> {
        let _ = (self, container, path);
        todo!()
    }

    /// Unpacks a tar, plain or compressed, into a directory of the container.
    pub async fn put_archive(
        &self,
        container: &ContainerRef,
        request: PutArchive,
        body: ByteStream,
    ) -> Result<(), EngineError> {
        let _ = (self, container, request, body);
        todo!()
    }
}
