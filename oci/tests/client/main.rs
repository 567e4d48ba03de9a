//! The client against registries that behave in every way real ones do.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on ends")]

mod auth;
mod mirrors;
mod pull;
mod push;
mod support;
