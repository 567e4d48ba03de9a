//! What a request says, read as Docker's own server reads it: query, JSON body, credentials.
//!
//! Bytes from outside become values here; nothing in this folder asks the engine anything.

mod auth;
mod body;
mod go_json;
mod path;
mod query;

pub(super) use auth::{AuthConfig, RegistryAuthHeader, RegistryConfigHeader};
pub(super) use body::{JsonBody, StreamBody};
pub(super) use go_json::from_value;
pub(super) use path::{Name, Version};
pub(super) use query::Query;
