//! The networks of one agent, and the only door to this folder.

use super::{
    Endpoint, EndpointRequest, Netns, NetworkError, NetworkRequest, NetworkSettings, NetworkSpec,
};
use crate::spec::NetworkId;

/// An endpoint of a container that outlived the agent.
#[derive(Debug, Clone)]
pub struct RestoredEndpoint {
    pub endpoint: Endpoint,
    pub netns: Netns,
}

/// Every network of this agent. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Networks {}

impl Networks {
    /// Brings the kernel in line with the records: bridges, rules, held ports, name servers.
    ///
    /// Makes the predefined networks that `networks` lacks; the caller records what [`list`]
    /// says afterwards. Endpoints not among `endpoints` are taken down. Does not fail because
    /// of one broken network: failures come back beside the value.
    ///
    /// [`list`]: Self::list
    pub async fn open(
        _settings: NetworkSettings,
        _networks: Vec<NetworkSpec>,
        _endpoints: Vec<RestoredEndpoint>,
    ) -> (Self, Vec<NetworkError>) {
        todo!()
    }

    /// All networks, by name.
    pub fn list(&self) -> Vec<NetworkSpec> {
        todo!()
    }

    /// The network with this name, id or unambiguous start of an id.
    pub fn find(&self, _name_or_id: &str) -> Result<NetworkSpec, NetworkError> {
        todo!()
    }

    /// Makes a network; the caller records what comes back.
    pub async fn create(&self, _request: NetworkRequest) -> Result<NetworkSpec, NetworkError> {
        todo!()
    }

    /// Removes a network nobody is attached to.
    pub async fn remove(&self, _id: &NetworkId) -> Result<(), NetworkError> {
        todo!()
    }

    /// Gives the container its link, addresses, routes, published ports and names.
    ///
    /// On failure everything done so far is undone. Also brings loopback up, so it is called
    /// for `none` too.
    pub async fn attach(
        &self,
        _network: &NetworkId,
        _request: EndpointRequest,
    ) -> Result<Endpoint, NetworkError> {
        todo!()
    }

    /// Takes all of it back. Goes on past failures and reports every one; what is already gone
    /// (the namespace died with its container) is no failure.
    pub async fn detach(&self, _endpoint: &Endpoint) -> Result<(), NetworkError> {
        todo!()
    }

    /// Sends the container's traffic to elsewhere through this endpoint from now on.
    pub async fn set_default_route(
        &self,
        _netns: &Netns,
        _endpoint: &Endpoint,
    ) -> Result<(), NetworkError> {
        todo!()
    }

    /// Puts back whatever someone else took away: bridges, addresses, sysctls, rules.
    pub async fn reconcile(&self) -> Result<(), NetworkError> {
        todo!()
    }
}
