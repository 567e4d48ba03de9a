//! The words of the engine: identifiers, what a caller asked for, the life of a container.
//!
//! Pure values. Nothing here reads a file, asks the kernel or knows JSON shapes of the Docker
//! API; `http` converts wire types to these, `engine` decides with them, `store` keeps them.

mod config;
mod id;
mod log;
mod path;
pub mod signal;
mod state;
mod stream;

pub use config::{
    BlockIo, ContainerConfig, CpuLimit, DeviceMapping, DeviceRate, HealthCheck, HostConfig,
    IpcMode, Link, MountForm, MountSource, MountSpec, NamespaceMode, NetworkAttachment,
    NetworkMode, PortBinding, PortProtocol, PortSpec, PortSpecError, Propagation, Resources,
    RestartPolicy, SeccompProfile, Submounts, Ulimit,
};
pub use id::{ContainerId, ContainerName, ContainerRef, EndpointId, ExecId, IdError, NetworkId};
pub use log::{LogConfig, LogDriver};
pub use path::clean;
pub use state::{ContainerState, Exit, IllegalTransition, Running, StateEvent};
pub use stream::StdStream;
