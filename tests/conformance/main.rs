//! The distribution specification, sentence by sentence.
//!
//! Written from the text of the OCI distribution specification 1.1; each test says the sentences
//! it checks. The registry under test is a real process on a socket, asked with curl.
//!
//! `HYTHE_CONFORMANCE_STORAGE` and `HYTHE_CONFORMANCE_DATABASE` give it other back ends than the
//! disk and SQLite; each test then uses repositories of its own in what may be a shared store.

#![expect(
    clippy::expect_used,
    reason = "a test that cannot go on says why and ends"
)]

mod discovery;
mod management;
mod pull;
mod push_blob;
mod push_manifest;
mod referrers;
mod registry;
