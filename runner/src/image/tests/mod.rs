//! The store against a real registry.
