//! Networks of containers: drivers, addresses, published ports, names.
//!
//! [`Networks`] is the only door. `engine` tells it which networks and endpoints its records
//! hold, asks it to attach a container's network namespace before the container starts, and
//! keeps the [`Endpoint`] that comes back. This folder keeps nothing on disk: what must outlive
//! the agent is in the records that `engine` hands to [`Networks::open`].
//!
//! It never touches firewall tables other than its own two (named after the agent instance),
//! except for the one accept rule per bridge that a foreign `FORWARD` policy of `DROP` makes
//! necessary.

mod dns;
mod driver;
mod endpoint;
mod error;
pub mod files;
mod firewall;
mod ipam;
mod link;
mod networks;
mod ports;
mod settings;
mod spec;
mod sysctl;

pub use endpoint::{Endpoint, EndpointRequest, InterfaceAddress, MacAddress, Netns, PublishedPort};
pub use error::NetworkError;
pub use networks::{Networks, RestoredEndpoint};
pub use settings::{AddressPool, NetworkSettings};
pub use spec::{DriverName, NetworkRequest, NetworkSpec, Subnet};
