//! The distribution specification, sentence by sentence.
//!
//! Written from the text of the OCI distribution specification 1.1; each test says the sentences
//! it checks. The registry under test is a real process on a socket, asked with curl.
//!
//! On the disk and SQLite, and, from `on_s3_and_postgres.rs`, on S3 and PostgreSQL.

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
