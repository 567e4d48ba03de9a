//! The root file system and what is bound into it, as mounts that are attached to nothing: the
//! host's mount namespace never sees them.

use std::fs::{self, File};
use std::io;
use std::os::fd::{AsFd as _, AsRawFd as _, OwnedFd};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use oci_spec::runtime::{LinuxNamespaceType, Mount, Spec};

use crate::launch::error::{Step, reason};
use crate::launch::id_maps::IdMaps;
use crate::launch::mount_options::MountOptions;
use crate::launch::namespaces::is_bind;
use crate::launch::{Rootfs, StartFailure};
use crate::sys::mount::{self, Attributes, Change, FsContext, PropagationType};
use crate::sys::{credentials, host, in_root, process};

/// open(2): a place, not its content.
const O_PATH: i32 = 0o10_000_000;

/// Whether overlayfs takes layers that are mounted nowhere and whose owners are mapped.
pub fn maps_owners_of_layers() -> bool {
    host::kernel_version() >= (6, 15)
}

/// Mounts the container's root; the owners of an overlay's files are mapped by `ids`.
pub(in crate::launch) fn open(
    rootfs: &Rootfs,
    scratch: &Path,
    ids: IdMaps<'_>,
) -> Result<OwnedFd, StartFailure> {
    match rootfs {
        Rootfs::Directory(path) => {
            let what = || format!("cannot use {} as root", path.display());
            let tree = mount::clone_path(path, true).step(what)?;
            let private = Change {
                propagation: Some(PropagationType::Private),
                ..Change::default()
            };
            mount::change(tree.as_fd(), private, true).step(what)?;
            Ok(tree)
        }
        Rootfs::Overlay {
            lower,
            upper,
            work,
            options,
        } => {
            let overlay = Overlay {
                lower,
                upper,
                work,
                options,
            };
            match ids.root() {
                None => overlay.mount(scratch),
                Some(root) => overlay.mount_mapped(ids, root),
            }
        }
    }
}

/// The first Linux whose overlayfs takes its layers one by one, and so by descriptor calls.
const LAYERS_ONE_BY_ONE: (u32, u32) = (6, 8);

/// What an overlay is made of.
#[derive(Debug, Clone, Copy)]
struct Overlay<'a> {
    lower: &'a [PathBuf],
    upper: &'a Path,
    work: &'a Path,
    options: &'a [String],
}

/// The layers of an overlay, held open. The kernel is given `/proc/self/fd/N` for each: however
/// long the paths and however many the layers, all fit.
#[derive(Debug)]
struct Layers {
    lower: Vec<OwnedFd>,
    upper: OwnedFd,
    work: OwnedFd,
}

impl Overlay<'_> {
    /// As on the disk root is 0, and in the container as well, but not on the host.
    fn mount_mapped(&self, ids: IdMaps<'_>, root: (u32, u32)) -> Result<OwnedFd, StartFailure> {
        let namespace = ids.namespace()?;
        let mapped = |path: &Path| -> Result<OwnedFd, StartFailure> {
            let what = || format!("cannot map the owners in {}", path.display());
            let tree = mount::clone_path(path, false).step(what)?;
            mount::map_ids(tree.as_fd(), namespace.as_fd(), false).step(what)?;
            Ok(tree)
        };
        let lower: Vec<OwnedFd> = self
            .lower
            .iter()
            .map(|path| mapped(path))
            .collect::<Result<_, _>>()?;
        // Both have to be on one mount.
        let (Some(parent), Some(upper), Some(work)) = (
            self.upper.parent(),
            self.upper.file_name(),
            self.work.file_name(),
        ) else {
            return Err(StartFailure::setup("the upper layer has no directory"));
        };
        let own = mapped(parent)?;
        let open = |name| {
            in_root::open_place(&own, Path::new(name))
                .step(|| format!("cannot open layer {}", parent.join(name).display()))
        };
        let layers = Layers {
            lower,
            upper: open(upper)?,
            work: open(work)?,
        };
        // What the kernel writes for the container, such as a file that is copied up, is
        // written by whoever mounts: it has to be somebody whom the mapping knows.
        credentials::as_owner_of_files(root, || self.mount_detached(&layers))
            .and_then(|mounted| mounted)
            .step(|| "cannot mount the root with mapped owners".to_owned())
    }

    fn mount(&self, scratch: &Path) -> Result<OwnedFd, StartFailure> {
        if host::kernel_version() < LAYERS_ONE_BY_ONE {
            return self.mount_aside(scratch);
        }
        self.mount_detached(&self.open()?)
            .step(|| "cannot mount the root".to_owned())
    }

    fn open(&self) -> Result<Layers, StartFailure> {
        let open = |path: &Path| {
            fs::OpenOptions::new()
                .read(true)
                .custom_flags(O_PATH)
                .open(path)
                .map(OwnedFd::from)
                .step(|| format!("cannot open layer {}", path.display()))
        };
        Ok(Layers {
            lower: self
                .lower
                .iter()
                .map(|path| open(path))
                .collect::<Result<_, _>>()?,
            upper: open(self.upper)?,
            work: open(self.work)?,
        })
    }

    fn mount_detached(&self, layers: &Layers) -> io::Result<OwnedFd> {
        let context = FsContext::open("overlay")?;
        context.set_string("source", b"overlay")?;
        for layer in &layers.lower {
            context.set_string("lowerdir+", place(layer).as_bytes())?;
        }
        context.set_string("upperdir", place(&layers.upper).as_bytes())?;
        context.set_string("workdir", place(&layers.work).as_bytes())?;
        for option in self.options {
            match option.split_once('=') {
                Some((key, value)) => context.set_string(key, value.as_bytes())?,
                None => context.set_flag(option)?,
            }
        }
        context.mount(Attributes::default())
    }

    /// Mounts with mount(2) in a namespace of its own, takes a copy, and comes back: when that
    /// namespace goes, so does everything in it but the copy.
    fn mount_aside(&self, scratch: &Path) -> Result<OwnedFd, StartFailure> {
        const NEW_MOUNT: i32 = LinuxNamespaceType::Mount as i32;
        let what = || "cannot mount the root".to_owned();
        let home = File::open("/proc/self/ns/mnt").step(what)?;
        process::leave_namespace(NEW_MOUNT).step(what)?;
        let tree = self.mount_here(scratch);
        process::join_namespace(home.as_fd(), NEW_MOUNT)
            .step(|| "cannot come back to the host's mounts".to_owned())?;
        tree
    }

    /// Mounts on `scratch`, in the namespace that the caller has just made.
    fn mount_here(&self, scratch: &Path) -> Result<OwnedFd, StartFailure> {
        // Opened here: the kernel takes layers only from the namespace they are mounted in.
        let layers = self.open()?;
        let lower: Vec<String> = layers.lower.iter().map(place).collect();
        let mut options = format!(
            "lowerdir={},upperdir={},workdir={}",
            lower.join(":"),
            place(&layers.upper),
            place(&layers.work)
        );
        for option in self.options {
            options.push(',');
            options.push_str(option);
        }
        mount::make_all_private()
            .and_then(|()| mount::mount_at("overlay", scratch, options.as_bytes()))
            .and_then(|()| mount::clone_path(scratch, false))
            .step(|| "cannot mount the root".to_owned())
    }
}

fn place(fd: &OwnedFd) -> String {
    format!("/proc/self/fd/{}", fd.as_raw_fd())
}

/// Whether the owners of files are to be mapped, and whether below as well.
fn id_mapping(wanted: &Mount, options: &MountOptions) -> Option<bool> {
    options
        .id_map
        .or_else(|| wanted.uid_mappings().is_some().then_some(false))
}

fn map_ids(tree: &OwnedFd, maps: IdMaps<'_>, recursive: bool) -> Result<(), StartFailure> {
    let namespace = maps.namespace()?;
    mount::map_ids(tree.as_fd(), namespace.as_fd(), recursive)
        .step(|| "this file system cannot map the owners of its files".to_owned())
}

/// For each mount of the specification that binds something: that, with its flags.
pub(in crate::launch) fn open_sources(spec: &Spec) -> Result<Vec<Option<OwnedFd>>, StartFailure> {
    let mounts = spec.mounts().iter().flatten();
    mounts
        .map(|mount| {
            if is_bind(mount) {
                open_source(mount, spec).map(Some)
            } else {
                Ok(None)
            }
        })
        .collect()
}

fn open_source(wanted: &Mount, spec: &Spec) -> Result<OwnedFd, StartFailure> {
    let Some(source) = wanted.source() else {
        return Err(StartFailure::setup(format!(
            "the bind mount at {} has no source",
            wanted.destination().display()
        )));
    };
    let what = || {
        format!(
            "error mounting {:?} to rootfs at {:?}",
            source.display().to_string(),
            wanted.destination().display().to_string()
        )
    };
    let options = MountOptions::parse(wanted.options().as_deref().unwrap_or_default());
    if let Some((key, _)) = options.data.first() {
        return Err(StartFailure::setup(format!(
            "{}: unknown option {key}",
            what()
        )));
    }
    let tree = mount::clone_path(source, options.bind.unwrap_or(true))
        .map_err(|error| StartFailure::setup(format!("{}: {}", what(), reason(&error))))?;
    if let Some(recursive) = id_mapping(wanted, &options) {
        map_ids(&tree, IdMaps::of_mount(wanted, spec), recursive).step(what)?;
    }
    let (propagation, everywhere) = options
        .propagation
        .unwrap_or((PropagationType::Private, true));
    let with = |propagation| Change {
        propagation: Some(propagation),
        ..Change::default()
    };
    mount::change(tree.as_fd(), with(propagation), everywhere).step(what)?;
    if MountOptions::changes_anything(&options.change) {
        mount::change(tree.as_fd(), options.change, false).step(what)?;
    }
    if MountOptions::changes_anything(&options.recursive) {
        mount::change(tree.as_fd(), options.recursive, true).step(what)?;
    }
    Ok(tree)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Both ways, whatever the kernel of this machine can do.
    #[test]
    fn overlays_are_mounted_detached_and_aside() {
        let directory = tempfile::tempdir().unwrap();
        for name in ["one", "two", "upper", "work", "scratch"] {
            fs::create_dir(directory.path().join(name)).unwrap();
        }
        fs::write(directory.path().join("one/file"), "top").unwrap();
        fs::write(directory.path().join("two/file"), "below").unwrap();
        let at = |name: &str| directory.path().join(name);
        let overlay = Overlay {
            lower: &[at("one"), at("two")],
            upper: &at("upper"),
            work: &at("work"),
            options: &[],
        };
        for aside in [false, true] {
            // Namespaces belong to threads: a failure must not follow the other tests.
            let content = std::thread::scope(|scope| {
                let read = || {
                    // A thread shares its root and directory with the others and may not
                    // change namespaces; alone it may.
                    process::leave_namespace(CLONE_FS).unwrap();
                    let tree = if aside {
                        overlay.mount_aside(&at("scratch")).unwrap()
                    } else {
                        overlay.mount(&at("scratch")).unwrap()
                    };
                    let file = in_root::open_readable(&tree, Path::new("/file")).unwrap();
                    io::read_to_string(File::from(file)).unwrap()
                };
                scope.spawn(read).join().unwrap()
            });
            assert_eq!(content, "top", "aside: {aside}");
        }
        let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap();
        assert!(!mounts.contains(&*directory.path().to_string_lossy()));
    }

    const CLONE_FS: i32 = 0x200;
}
