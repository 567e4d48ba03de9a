//! The mounts of a container, in two steps around the change of the root.
//!
//! Before it, every file system is made but attached to nothing. After it, each is attached to
//! a place that was found inside the new root: by then nothing of the host can be reached, so
//! no link in an image and no race with another container can lead a mount elsewhere.

use std::collections::BTreeMap;
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

use oci_spec::runtime::Mount;

use super::Setup;
use crate::launch::StartFailure;
use crate::launch::error::Step;
use crate::launch::file_system;
use crate::launch::mount_options::MountOptions;
use crate::sys::dir::Directory;
use crate::sys::mount::{self, Attributes, Change, FsContext, PropagationType};
use crate::sys::{copy, in_root, process};

/// A file system that waits to be attached.
#[derive(Debug)]
pub(super) struct Detached {
    tree: OwnedFd,
    target: PathBuf,
    options: MountOptions,
    /// Controllers of cgroup v1, to be attached inside.
    inside: BTreeMap<String, OwnedFd>,
    /// A file system in memory that is to have the mode of the directory it covers.
    takes_mode: bool,
}

/// Makes every mount of the specification. Bind mounts were made by the shim already.
pub(super) fn prepare(setup: &mut Setup<'_>) -> Result<Vec<Detached>, StartFailure> {
    let mut detached = Vec::new();
    let mut sources = std::mem::take(&mut setup.sources).into_iter();
    for wanted in setup.spec.mounts().iter().flatten() {
        let options = MountOptions::parse(wanted.options().as_deref().unwrap_or_default());
        let target = wanted.destination().clone();
        let mut inside = BTreeMap::new();
        let has_mode = options.data.iter().any(|(key, _)| key == "mode");
        let tree = match sources.next().flatten() {
            Some(bound) => bound,
            None if wanted.typ().as_deref() == Some("cgroup") => {
                let (tree, controllers) = cgroup(setup, &options)?;
                inside = controllers;
                tree
            }
            None => make(wanted, &options)?,
        };
        detached.push(Detached {
            tree,
            target,
            options,
            inside,
            takes_mode: wanted.typ().as_deref() == Some("tmpfs") && !has_mode,
        });
    }
    Ok(detached)
}

/// Attaches all in their order. The caller stands in the new root, `root`.
pub(super) fn attach(root: BorrowedFd<'_>, detached: &[Detached]) -> Result<(), StartFailure> {
    for it in detached {
        let what = || format!("error mounting to rootfs at {}", it.target.display());
        let is_dir = in_root::status(&it.tree).step(what)?.is_dir();
        if it.takes_mode || it.options.copy_up {
            take_over(root, it).step(what)?;
        }
        let place = if is_dir {
            in_root::create_dir_all(root, &it.target, 0o755)
        } else {
            in_root::create_file(root, &it.target, 0o644)
        };
        let place = place.step(what)?;
        mount::attach(it.tree.as_fd(), place.as_fd()).step(what)?;
        for (controller, tree) in &it.inside {
            let place = in_root::create_dir_all(it.tree.as_fd(), Path::new(controller), 0o755);
            let place = place.step(what)?;
            mount::attach(tree.as_fd(), place.as_fd()).step(what)?;
        }
        finish(it).step(what)?;
    }
    Ok(())
}

/// Gives a new file system the mode and, with `tmpcopyup`, the content of what it covers.
fn take_over(root: BorrowedFd<'_>, it: &Detached) -> std::io::Result<()> {
    let Some(covered) = existing(root, it.target.as_path())? else {
        return Ok(());
    };
    let status = in_root::status(&covered)?;
    if !status.is_dir() {
        return Ok(());
    }
    if it.takes_mode {
        Directory::at(&it.tree)?.set_mode(c".", status.mode())?;
    }
    if it.options.copy_up {
        copy::copy_content(&Directory::at(&covered)?, &Directory::at(&it.tree)?)?;
    }
    Ok(())
}

/// What could not be set while others were still to be attached inside, or at all before.
fn finish(it: &Detached) -> std::io::Result<()> {
    let was_filled = !it.inside.is_empty() || it.options.copy_up;
    if was_filled && it.options.change.set.0 & Attributes::READ_ONLY.0 != 0 {
        let read_only = Change {
            set: Attributes::READ_ONLY,
            ..Change::default()
        };
        mount::change(it.tree.as_fd(), read_only, false)?;
    }
    let is_new = it.options.bind.is_none();
    if let Some((propagation, recursive)) = it.options.propagation.filter(|_| is_new) {
        let change = Change {
            propagation: Some(propagation),
            ..Change::default()
        };
        mount::change(it.tree.as_fd(), change, recursive)?;
    }
    Ok(())
}

/// A new instance of a file system.
fn make(wanted: &Mount, options: &MountOptions) -> Result<OwnedFd, StartFailure> {
    let fs_type = wanted.typ().as_deref().unwrap_or("none");
    let source = wanted.source().as_deref().unwrap_or(Path::new(fs_type));
    let what = || {
        format!(
            "error mounting {:?} to rootfs at {:?}",
            source.display().to_string(),
            wanted.destination().display().to_string()
        )
    };
    file_system::make(fs_type, source, options).step(what)
}

/// What a container sees at `/sys/fs/cgroup`: its own group and those below.
fn cgroup(
    setup: &Setup<'_>,
    options: &MountOptions,
) -> Result<(OwnedFd, BTreeMap<String, OwnedFd>), StartFailure> {
    let what = || "error mounting the control groups".to_owned();
    let controllers = setup.cgroup.legacy_directories();
    if controllers.is_empty() {
        let context = FsContext::open("cgroup2").step(what)?;
        let tree = context.mount(options.change.set).step(what)?;
        return Ok((tree, BTreeMap::new()));
    }
    let mut trees = BTreeMap::new();
    for (controller, directory) in controllers {
        let tree = if setup.namespaces.has_own_cgroups() {
            let context = FsContext::open("cgroup").step(what)?;
            context.set_flag(&controller).step(what)?;
            context.mount(options.change.set).step(what)?
        } else {
            let tree = mount::clone_path(&directory, false).step(what)?;
            let change = Change {
                propagation: Some(PropagationType::Private),
                ..options.change
            };
            mount::change(tree.as_fd(), change, false).step(what)?;
            tree
        };
        trees.insert(controller, tree);
    }
    // The directory that holds them; made read-only once they are inside.
    let context = FsContext::open("tmpfs").step(what)?;
    context.set_string("source", b"cgroup").step(what)?;
    context.set_string("mode", b"755").step(what)?;
    let writable = options.change.set.without(Attributes::READ_ONLY);
    Ok((context.mount(writable).step(what)?, trees))
}

/// Makes `rootfs` the root of this process. It must be a mount that is attached to nothing.
pub(super) fn enter_root(rootfs: BorrowedFd<'_>) -> Result<(), StartFailure> {
    mount::make_all_private().step(|| "cannot part from the host's mounts".to_owned())?;
    // On top of the old root: a place that exists and that nobody else sees.
    let top = in_root::open_place(
        std::fs::File::open("/").step(|| "cannot open the root".to_owned())?,
        Path::new("/"),
    )
    .step(|| "cannot open the root".to_owned())?;
    mount::attach(rootfs, top.as_fd()).step(|| "cannot attach the root".to_owned())?;
    mount::pivot_into(rootfs).step(|| "cannot change the root".to_owned())
}

/// Hides files under `/dev/null` and directories under an empty, read-only file system.
///
/// `null` is a detached mount of the host's own `/dev/null`, not the container's, which an
/// image or another container may have replaced.
pub(super) fn mask(
    root: BorrowedFd<'_>,
    paths: &[String],
    null: &OwnedFd,
) -> Result<(), StartFailure> {
    let mut null_is_attached = false;
    let mut empty: Option<OwnedFd> = None;
    for path in paths {
        let what = || format!("cannot mask path {path}");
        let Some(place) = existing(root, path).step(what)? else {
            continue;
        };
        if in_root::status(&place).step(what)?.is_dir() {
            let tree = match &empty {
                Some(first) => mount::clone_fd(first.as_fd(), false).step(what)?,
                None => empty_directory().step(what)?,
            };
            mount::attach(tree.as_fd(), place.as_fd()).step(what)?;
            empty.get_or_insert(tree);
        } else if null_is_attached {
            let copy = mount::clone_fd(null.as_fd(), false).step(what)?;
            mount::attach(copy.as_fd(), place.as_fd()).step(what)?;
        } else {
            mount::attach(null.as_fd(), place.as_fd()).step(what)?;
            null_is_attached = true;
        }
    }
    Ok(())
}

/// A detached mount of the host's `/dev/null`, after making sure that it is one.
pub(super) fn host_null() -> Result<OwnedFd, StartFailure> {
    let what = || "cannot use /dev/null".to_owned();
    let null = mount::clone_path(Path::new("/dev/null"), false).step(what)?;
    if in_root::status(&null).step(what)?.is_char_device(1, 3) {
        Ok(null)
    } else {
        Err(StartFailure::setup(
            "the host's /dev/null is something else",
        ))
    }
}

fn empty_directory() -> std::io::Result<OwnedFd> {
    let context = FsContext::open("tmpfs")?;
    context.set_string("source", b"tmpfs")?;
    context.set_string("mode", b"555")?;
    context.set_string("size", b"0")?;
    context.mount(
        Attributes::READ_ONLY
            .with(Attributes::NO_SUID)
            .with(Attributes::NO_DEV)
            .with(Attributes::NO_EXEC),
    )
}

/// Makes paths read-only, with all that is mounted below them.
pub(super) fn make_read_only(root: BorrowedFd<'_>, paths: &[String]) -> Result<(), StartFailure> {
    for path in paths {
        let what = || format!("cannot make {path} read-only");
        let Some(place) = existing(root, path).step(what)? else {
            continue;
        };
        let copy = mount::clone_fd(place.as_fd(), true).step(what)?;
        let read_only = Change {
            set: Attributes::READ_ONLY,
            ..Change::default()
        };
        mount::change(copy.as_fd(), read_only, true).step(what)?;
        mount::attach(copy.as_fd(), place.as_fd()).step(what)?;
    }
    Ok(())
}

fn existing(root: BorrowedFd<'_>, path: impl AsRef<Path>) -> std::io::Result<Option<OwnedFd>> {
    match in_root::open_place(root, path.as_ref()) {
        Ok(place) => Ok(Some(place)),
        Err(error) => match error.kind() {
            std::io::ErrorKind::NotFound | std::io::ErrorKind::NotADirectory => Ok(None),
            _ => Err(error),
        },
    }
}

/// Leaves the cgroup namespace of the shim, whose root is another group.
pub(super) fn new_cgroup_namespace() -> Result<(), StartFailure> {
    const CLONE_NEWCGROUP: i32 = 0x0200_0000;
    process::leave_namespace(CLONE_NEWCGROUP).step(|| "cannot make a cgroup namespace".to_owned())
}
