//! An agent's networks and containers to attach to them.

use std::collections::BTreeMap;

use hythe_runner::network::{
    DriverName, Endpoint, EndpointRequest, NetworkError, NetworkRequest, NetworkSettings,
    NetworkSpec, Networks, Subnet,
};
use hythe_runner::spec::{ContainerId, PortBinding, PortProtocol, PortSpec};

use crate::host::Host;

/// A container: a namespace and the request that attaches it.
#[derive(Debug)]
pub(crate) struct Container {
    pub(crate) host: Host,
    pub(crate) request: EndpointRequest,
}

impl Container {
    pub(crate) fn new(name: &str) -> Self {
        let host = Host::new();
        // As init does before the agent attaches anything.
        host.sh("ip link set lo up");
        let request = EndpointRequest {
            container: ContainerId::random(),
            container_name: name.to_owned(),
            netns: host.netns(),
            interface: "eth0".to_owned(),
            ipv4_address: None,
            ipv6_address: None,
            mac_address: None,
            link_local_ips: Vec::new(),
            switches: Vec::new(),
            ports: Vec::new(),
            default_route: true,
            names: vec![name.to_owned()],
            resolvers: Vec::new(),
        };
        Self { host, request }
    }

    /// Publishes `host_ports` (such as `8080`, `127.0.0.1:8080`, `8000-8002`, `0`) to `port`.
    pub(crate) fn publish(mut self, host_ports: &str, port: u16, protocol: PortProtocol) -> Self {
        let (host_ip, range) = match host_ports.rsplit_once(':') {
            Some((ip, range)) => (Some(ip.trim_matches(['[', ']']).parse().unwrap()), range),
            None => (None, host_ports),
        };
        let (first, last) = range.split_once('-').unwrap_or((range, range));
        self.request.ports.push(PortBinding {
            container: PortSpec { port, protocol },
            host_ip,
            host_ports: (first.parse().unwrap(), last.parse().unwrap()),
        });
        self
    }

    pub(crate) async fn attach(
        &self,
        networks: &Networks,
        network: &str,
    ) -> Result<Endpoint, NetworkError> {
        let network = networks.find(network)?;
        networks.attach(&network.id, self.request.clone()).await
    }
}

/// Networks of an agent that has just been started for the first time.
pub(crate) async fn open(instance: &str) -> Networks {
    let (networks, failures) = Networks::open(NetworkSettings::new(instance), vec![], vec![])
        .await
        .unwrap();
    assert!(failures.is_empty(), "{failures:?}");
    networks
}

/// A bridge network as `docker network create NAME` asks for it.
pub(crate) fn request(name: &str) -> NetworkRequest {
    NetworkRequest {
        name: name.to_owned(),
        driver: DriverName::Bridge,
        enable_ipv4: true,
        enable_ipv6: false,
        subnets: Vec::new(),
        internal: false,
        attachable: false,
        options: BTreeMap::new(),
        labels: BTreeMap::new(),
    }
}

/// The same with one subnet.
pub(crate) fn request_with(name: &str, subnet: &str) -> NetworkRequest {
    let mut request = request(name);
    request.subnets.push(Subnet {
        subnet: subnet.parse().unwrap(),
        gateway: None,
        ip_range: None,
        auxiliary: BTreeMap::new(),
    });
    request
}

pub(crate) fn ipv4(endpoint: &Endpoint) -> String {
    endpoint.ipv4.unwrap().address.to_string()
}

pub(crate) fn subnet(network: &NetworkSpec) -> String {
    network.subnets[0].subnet.to_string()
}
