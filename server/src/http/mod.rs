//! The distribution API over HTTP: the only module that knows HTTP.
//!
//! A request becomes a [`route::Route`] and typed headers at the door; thin
//! handlers, one file per resource, call the registry; `error` is the one place
//! where an error meets a status code.

mod access;
mod answer;
mod api_v1;
mod audit;
mod blobs;
mod body;
mod client;
mod error;
mod facts;
mod facts_route;
mod file_stream;
#[cfg(test)]
mod fuzz;
mod health;
mod listings;
mod manifests;
mod metrics;
mod query;
mod range;
mod route;
mod router;
mod search;
mod serve;
mod tap;
mod tapped_body;
#[cfg(test)]
mod tests;
mod token;
mod trace;
mod uploads;

use std::sync::Arc;

pub(crate) use metrics::install as install_metrics;
pub(crate) use serve::{ListenError, Listener};

use self::access::Rates;
use crate::auth::{Auth, Caller};
use crate::config::HttpConfig;
use crate::registry::Registry;

/// What somebody is called who did not say who they are.
const ANONYMOUS: &str = "anonymous";

/// Who is said to have done what a caller does.
fn by(caller: &Caller) -> &str {
    caller.name().unwrap_or(ANONYMOUS)
}

/// What handlers work with; cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct Api {
    registry: Registry,
    auth: Auth,
    rates: Arc<Rates>,
    config: Arc<HttpConfig>,
}

impl Api {
    /// The API of a registry.
    pub(crate) fn new(registry: Registry, auth: Auth, config: HttpConfig) -> Self {
        Self {
            registry,
            auth,
            rates: Arc::new(Rates::new(&config)),
            config: Arc::new(config),
        }
    }
}
