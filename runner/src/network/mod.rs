//! Networks of containers: drivers, addresses, published ports, names.
//!
//! [`Networks`] is the only door. `engine` tells it which networks and endpoints its records
//! hold, asks it to attach a container's network namespace before the container starts, and
//! keeps the [`Endpoint`] that comes back. This folder keeps nothing on disk: what must outlive
//! the agent is in the records that `engine` hands to [`Networks::open`].
//!
//! ```text
//!  networks/   the door: open, create, attach; what is known, in memory
//!  driver/     who makes the links: bridge, macvlan and ipvlan, host and none
//!  firewall/   our nft table as text, beside other people's firewalls
//!  ports/      published ports: a table, a socket that holds each, a relay behind it
//!  dns/        names of containers, answered inside each at 127.0.0.11
//!  ipam/       address pools and leases
//!  link, sysctl, conntrack, netfilter     what is asked of the kernel
//! ```
//!
//! On this host it never touches firewall tables other than its own, which is named after the
//! agent instance; except for the two accept rules per bridge that a foreign `FORWARD` policy of
//! `DROP` makes necessary.

mod conntrack;
mod dns;
mod driver;
mod endpoint;
mod endpoint_options;
mod error;
pub mod files;
mod firewall;
mod ipam;
mod link;
mod netfilter;
mod networks;
mod ports;
mod settings;
mod spec;
mod sysctl;

pub use endpoint::{Endpoint, EndpointRequest, InterfaceAddress, MacAddress, Netns, PublishedPort};
pub use endpoint_options::{EndpointOptions, LinkSwitch};
pub use error::NetworkError;
pub use networks::{Networks, RestoredEndpoint};
pub use settings::{AddressPool, DEFAULT_INSTANCE, NetworkSettings};
pub use spec::{DriverName, NetworkRequest, NetworkSpec, Subnet};
