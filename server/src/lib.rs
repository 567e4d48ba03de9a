//! The Hythe registry: the OCI distribution API over a blob store and SQL
//! metadata.
//!
//! ```text
//! app          composition root: opens everything, wires it, serves
//! maintenance  the same stores, opened for an administrator's command
//! http     [4] the only module that knows HTTP
//! jobs     [4] work beside requests: upload expiry, garbage collection,
//!              scrub
//! auth     [3] who is asking, what may they do; tokens
//! registry [3] the rules, in the words of the specification
//! db       [2] the only module that knows SQL
//! tls      [2] certificates, given or made, read again when they change
//! blob_store [2] the only module that knows object stores
//! sys      [1] what takes unsafe code
//! lane     [1] blocking work in order, on threads that nobody holds
//! config       what the operator said; each floor is handed its own part
//! ```
//!
//! A floor imports only lower ones (`tests/floors.rs`). A row never names bytes
//! that are not there: bytes first, then the row; on delete the row first, then
//! the bytes.

mod app;
mod auth;
mod blob_store;
pub mod config;
mod db;
mod error_chain;
mod http;
mod jobs;
mod lane;
mod maintenance;
mod registry;
mod sys;
#[cfg(test)]
mod testing;
mod tls;

pub use app::{BlobFiles, ServeError, Server};
pub use auth::{
    AccountError, AccountView, Accounts, Action, Actions, ActionsError, AuditEntry, Effect,
    GrantView, GroupView, IdentityView, Imported, Limit, LimitError, NewToken, PatternError,
    Principal, RepositoryPattern, TokenView,
};
pub use config::{Config, ConfigError};
pub use maintenance::Maintenance;
pub use registry::{
    AsItWas, BadBlob, Collected, Finding, Hurt, MoveRecord, ObjectHolder, PlatformRecord, Problem,
    Remedy, RepositoryRecord, Scrubbed, TagDecision, TagRecord,
};
pub use tls::{Authority, TlsError};
