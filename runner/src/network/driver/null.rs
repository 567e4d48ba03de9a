//! `host` and `none`: no links of our own. A new namespace's loopback is brought up by init.

use futures_util::future::BoxFuture;

use super::{Driver, Joining, Site};
use crate::network::link::Links;
use crate::network::{Endpoint, Netns, NetworkError, NetworkSpec};

/// Both networks exist once per agent and cannot be made by users.
#[derive(Debug)]
pub(super) struct Null;

impl Driver for Null {
    fn validate(&self, network: &NetworkSpec) -> Result<(), NetworkError> {
        if network.is_predefined() {
            return Ok(());
        }
        Err(NetworkError::Invalid(format!(
            "only one instance of \"{}\" network is allowed",
            network.driver
        )))
    }

    fn setup<'a>(&'a self, _site: Site<'a>) -> BoxFuture<'a, Result<(), NetworkError>> {
        Box::pin(async { Ok(()) })
    }

    fn teardown<'a>(&'a self, _site: Site<'a>) -> BoxFuture<'a, Result<(), NetworkError>> {
        Box::pin(async { Ok(()) })
    }

    fn attach<'a>(
        &'a self,
        _site: Site<'a>,
        _joining: Joining<'a>,
    ) -> BoxFuture<'a, Result<(), NetworkError>> {
        Box::pin(async { Ok(()) })
    }

    fn route<'a>(
        &'a self,
        _site: Site<'a>,
        _inside: &'a Links,
        _endpoint: &'a Endpoint,
    ) -> BoxFuture<'a, Result<(), NetworkError>> {
        Box::pin(async { Ok(()) })
    }

    fn detach<'a>(
        &'a self,
        _site: Site<'a>,
        _endpoint: &'a Endpoint,
        _netns: Option<&'a Netns>,
    ) -> BoxFuture<'a, Result<(), NetworkError>> {
        Box::pin(async { Ok(()) })
    }
}
