//! The suite of `main.rs` once more, on a registry whose blobs are on a real S3 server and whose
//! metadata is in a real PostgreSQL.

#[path = "main.rs"]
mod suite;
