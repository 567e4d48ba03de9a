//! Owners of files by the names of the tree that they are for.

use std::os::fd::AsFd;

use super::init::owner;

/// The user and group numbers of `user[:group]`, names or numbers, by `/etc/passwd` and
/// `/etc/group` below `root`, as chown(1) in a container there would have them. Without a group it
/// is the one called like the user. The error is a sentence.
pub fn owner_in(root: impl AsFd, text: &str) -> Result<(u32, u32), String> {
    owner(root.as_fd(), text).map_err(|error| error.to_string())
}
