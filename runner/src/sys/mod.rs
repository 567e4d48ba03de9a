//! What the kernel is asked: typed, RAII, no policy.
//!
//! The only folder with raw system calls. Above it are all others; below is nothing of ours.

pub mod dir;
pub mod durable;
pub mod file;
