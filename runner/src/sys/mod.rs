//! What the kernel is asked: typed, RAII, no policy.
//!
//! The only folder with raw system calls and unsafe code. Above it are all others; below is
//! nothing of ours.
#![expect(
    unsafe_code,
    reason = "the one place where the kernel is called directly"
)]

pub mod copy;
pub mod credentials;
pub mod device_filter;
pub mod dir;
pub mod durable;
pub mod events;
pub mod executable;
pub mod file;
pub mod footprint;
pub mod host;
pub mod in_root;
pub mod message_socket;
pub mod mount;
pub mod netns;
pub mod nodes;
pub mod process;
pub mod program;
pub mod reaper;
pub mod scheduling;
pub mod seccomp;
pub mod signals;
pub mod socket;
pub mod terminal;
pub mod tree;
