//! `hythe runtime`: cases of the OCI runtime validation suite as tests of our own, attacks that
//! are known from other runtimes, and the engines that call it.

mod attacks;
mod container;
mod engines;
mod hooks;
mod lifecycle;
