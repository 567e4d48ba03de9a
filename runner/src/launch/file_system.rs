//! New instances of file systems, by type, source and the options of mount(8).

use std::io;
use std::os::fd::{AsFd as _, OwnedFd};
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

use super::mount_options::MountOptions;
use crate::sys::in_root;
use crate::sys::mount::{self, Attributes, FsContext};

/// The most bytes of one option that the kernel takes.
const MAX_OPTION_BYTES: usize = 255;

/// A new instance, attached to nothing.
pub(super) fn make(fs_type: &str, source: &Path, options: &MountOptions) -> io::Result<OwnedFd> {
    let context = FsContext::open(fs_type)?;
    context.set_string("source", source.as_os_str().as_bytes())?;
    for (key, value) in &options.data {
        match value {
            None => context.set_flag(key)?,
            Some(value) if value.len() > MAX_OPTION_BYTES => {
                return Err(io::Error::new(
                    io::ErrorKind::InvalidInput,
                    format!("option {key} is too long"),
                ));
            }
            Some(value) => context.set_string(key, value.as_bytes())?,
        }
    }
    let attributes = options.change.set.with(options.recursive.set);
    // What is to be filled first is made read-only afterwards.
    context.mount(if options.copy_up {
        attributes.without(Attributes::READ_ONLY)
    } else {
        attributes
    })
}

/// Mounts a file system, or with the option `bind` a directory, at `target`, where all of this
/// mount namespace see it. Blocking: a network file system may take its time.
pub fn mount_at(fs_type: &str, source: &Path, options: &[String], target: &Path) -> io::Result<()> {
    let options = MountOptions::parse(options);
    let tree = match options.bind {
        None => make(fs_type, source, &options)?,
        Some(recursive) => {
            let tree = mount::clone_path(source, recursive)?;
            if MountOptions::changes_anything(&options.change) {
                mount::change(tree.as_fd(), options.change, false)?;
            }
            if MountOptions::changes_anything(&options.recursive) {
                mount::change(tree.as_fd(), options.recursive, true)?;
            }
            tree
        }
    };
    let place = in_root::open_place(std::fs::File::open("/")?, target)?;
    mount::attach(tree.as_fd(), place.as_fd())
}
