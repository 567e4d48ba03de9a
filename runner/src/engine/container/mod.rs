//! Containers: everything that can be asked of one.

mod backoff;
mod name;
mod request;
mod status;
mod view;

pub use request::{
    AttachOptions, CreateRequest, ListContainers, LogOptions, PutArchive, RemoveOptions,
    StatsOptions, StopOptions, StringMap, UpdateRequest, WaitCondition,
};
pub use view::{
    BlockIoEntry, Change, ChangeKind, ContainerSize, ContainerView, CpuStats, CreatedContainer,
    EndpointView, Health, HealthProbe, HealthStatus, InterfaceStats, MemoryStats, MountKind,
    MountView, PathStat, Pruned, Stats, Top, Waited,
};

use futures_util::future::BoxFuture;
use futures_util::stream::BoxStream;

use super::stream::{Attached, ByteStream, Logs};
use super::{Engine, EngineError, Filters};
use crate::spec::{ContainerName, ContainerRef};

impl Engine {
    /// Makes a container that can be started. The image must be there already.
    pub async fn create_container(
        &self,
        request: CreateRequest,
    ) -> Result<CreatedContainer, EngineError> {
        let _ = (self, request);
        todo!()
    }

    /// `NotModified` when it runs already.
    pub async fn start_container(&self, container: &ContainerRef) -> Result<(), EngineError> {
        let _ = (self, container);
        todo!()
    }

    /// `NotModified` when it does not run.
    pub async fn stop_container(
        &self,
        container: &ContainerRef,
        options: StopOptions,
    ) -> Result<(), EngineError> {
        let _ = (self, container, options);
        todo!()
    }

    pub async fn restart_container(
        &self,
        container: &ContainerRef,
        options: StopOptions,
    ) -> Result<(), EngineError> {
        let _ = (self, container, options);
        todo!()
    }

    /// Sends a signal, by name or number, to init; SIGKILL waits until it is gone.
    pub async fn kill_container(
        &self,
        container: &ContainerRef,
        signal: Option<&str>,
    ) -> Result<(), EngineError> {
        let _ = (self, container, signal);
        todo!()
    }

    pub async fn pause_container(&self, container: &ContainerRef) -> Result<(), EngineError> {
        let _ = (self, container);
        todo!()
    }

    pub async fn unpause_container(&self, container: &ContainerRef) -> Result<(), EngineError> {
        let _ = (self, container);
        todo!()
    }

    pub async fn remove_container(
        &self,
        container: &ContainerRef,
        options: RemoveOptions,
    ) -> Result<(), EngineError> {
        let _ = (self, container, options);
        todo!()
    }

    pub async fn rename_container(
        &self,
        container: &ContainerRef,
        name: ContainerName,
    ) -> Result<(), EngineError> {
        let _ = (self, container, name);
        todo!()
    }

    /// `size` measures the layers on disk, which takes time.
    pub async fn inspect_container(
        &self,
        container: &ContainerRef,
        size: bool,
    ) -> Result<ContainerView, EngineError> {
        let _ = (self, container, size);
        todo!()
    }

    /// Newest first.
    pub async fn list_containers(
        &self,
        request: ListContainers,
    ) -> Result<Vec<ContainerView>, EngineError> {
        let _ = (self, request);
        todo!()
    }

    /// Returns once the wait is registered: an exit after that is not missed. The future then
    /// resolves when the condition holds.
    pub async fn wait_container(
        &self,
        container: &ContainerRef,
        condition: WaitCondition,
    ) -> Result<BoxFuture<'static, Result<Waited, EngineError>>, EngineError> {
        let _ = (self, container, condition);
        todo!()
    }

    /// Connects to the standard streams; before a start it sees the first byte.
    pub async fn attach_container(
        &self,
        container: &ContainerRef,
        options: AttachOptions,
    ) -> Result<Attached, EngineError> {
        let _ = (self, container, options);
        todo!()
    }

    pub async fn container_logs(
        &self,
        container: &ContainerRef,
        options: LogOptions,
    ) -> Result<Logs, EngineError> {
        let _ = (self, container, options);
        todo!()
    }

    /// Sets the size of the container's terminal, in rows and columns.
    pub async fn resize_container(
        &self,
        container: &ContainerRef,
        rows: u16,
        columns: u16,
    ) -> Result<(), EngineError> {
        let _ = (self, container, rows, columns);
        todo!()
    }

    /// `ps_args` as ps(1) takes them; `None` is `-ef`.
    pub async fn top_container(
        &self,
        container: &ContainerRef,
        ps_args: Option<&str>,
    ) -> Result<Top, EngineError> {
        let _ = (self, container, ps_args);
        todo!()
    }

    pub async fn container_stats(
        &self,
        container: &ContainerRef,
        options: StatsOptions,
    ) -> Result<BoxStream<'static, Result<Stats, EngineError>>, EngineError> {
        let _ = (self, container, options);
        todo!()
    }

    /// Answers with warnings.
    pub async fn update_container(
        &self,
        container: &ContainerRef,
        request: UpdateRequest,
    ) -> Result<Vec<String>, EngineError> {
        let _ = (self, container, request);
        todo!()
    }

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

    /// Removes every stopped container that the filters (`until`, `label`) match.
    pub async fn prune_containers(&self, filters: Filters) -> Result<Pruned, EngineError> {
        let _ = (self, filters);
        todo!()
    }
}
