//! `host` and `none`: no links of our own, loopback only where the namespace is new.

use futures_util::future::BoxFuture;

use super::{Driver, Joining, Site};
use crate::network::link::Links;
use crate::network::{DriverName, Endpoint, Netns, NetworkError, NetworkSpec};

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
        site: Site<'a>,
        joining: Joining<'a>,
    ) -> BoxFuture<'a, Result<(), NetworkError>> {
        Box::pin(async move {
            if site.network.driver == DriverName::Host {
                return Ok(());
            }
            let inside = Links::inside(joining.netns, || Ok(())).await?;
            let loopback = inside.index("lo").await?;
            inside.set_up(loopback).await
        })
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
