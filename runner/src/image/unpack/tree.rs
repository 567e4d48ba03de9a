//! The directory that an archive becomes, one entry after the other.
//!
//! The order of metadata calls per object is: content, owner, mode, extended attributes, times;
//! each would undo what a later one sets (chown clears setuid and capabilities, writing clears
//! both and moves the time). Each costs a transaction of the file system, so owner and mode are
//! only set where a look, which costs little, finds others than the entry says.

use std::ffi::{CStr, CString};
use std::fs::File;
use std::io::{self, BufRead};

use super::archive::{Archive, Entry, EntryKind};
use super::fill::{FillError, fill};
use super::name::{self, Place, Target, lossy};
use super::{Limits, Merge, UnpackError, Unpacked};
use crate::sys::dir::{Directory, FileTime, Kind, Node};
use crate::sys::file;

/// Marks a directory that hides the same directory of lower layers, and a node that hides
/// anything (kernel documentation, overlayfs, "Whiteouts and opaque directories").
const OPAQUE: &str = "trusted.overlay.opaque";
const WHITEOUT: Node = Node::Char { major: 0, minor: 0 };

/// Open parents kept; deeper trees just open again.
const MAX_OPEN_PARENTS: usize = 32;

/// Permission, setuid, setgid and sticky bits of a mode.
const MODE_BITS: u32 = 0o7777;

/// What objects have until their owner is set, where others may see them.
const PRIVATE_FILE_MODE: u32 = 0o600;
const PRIVATE_DIR_MODE: u32 = 0o700;

/// What a directory gets that the archive uses but does not describe.
const IMPLIED_MODE: u32 = 0o755;

/// A layer's directory under construction. Nobody else writes below it meanwhile.
#[derive(Debug)]
pub(super) struct Tree {
    root: Directory,
    purpose: Purpose,
    limits: Limits,
    /// Parents by cleaned path, each a prefix of the next: archives go depth first.
    parents: Vec<(CString, Directory)>,
    /// Set at the end, because making things in a directory moves its time.
    directory_times: Vec<(Place, FileTime)>,
    unpacked: Unpacked,
}

/// What the directory is.
#[derive(Debug, Clone, Copy)]
pub(super) enum Purpose {
    /// A layer of an overlay: whiteouts become what the kernel takes for them.
    Layer,
    /// Files that are used as they are: a name that looks like a whiteout is just a name.
    Files(Merge),
}

/// Names what failed, for `map_err`.
fn at<'a>(doing: &'static str, place: &'a Place) -> impl Fn(io::Error) -> UnpackError + 'a {
    move |source| UnpackError::Write {
        doing,
        name: place.to_string(),
        source,
    }
}

impl Tree {
    pub(super) fn new(root: Directory, purpose: Purpose, limits: Limits) -> Self {
        Self {
            root,
            purpose,
            limits,
            parents: Vec::new(),
            directory_times: Vec::new(),
            unpacked: Unpacked::default(),
        }
    }

    /// Makes what the entry says; file content is taken from `archive`.
    pub(super) fn put<R: BufRead>(
        &mut self,
        entry: &Entry,
        archive: &mut Archive<R>,
    ) -> Result<(), UnpackError> {
        self.unpacked.n_entries += 1;
        if self.unpacked.n_entries > self.limits.layer_entries {
            let limit = self.limits.layer_entries;
            return Err(UnpackError::TooManyEntries { limit });
        }
        let target = match self.purpose {
            Purpose::Layer => name::parse(&entry.name)?,
            Purpose::Files(_) => name::parse_plain(&entry.name)?,
        };
        let place = match target {
            // Docker leaves the root of an image as it made it, mode 0755, and so do we.
            Target::Root | Target::Bookkeeping => return Ok(()),
            Target::Whiteout(place) => return self.put_whiteout(&place),
            Target::Opaque(directory) => return self.put_opaque(directory.as_deref()),
            Target::Object(place) => place,
        };
        self.check_kind(&place, &entry.kind)?;
        match &entry.kind {
            EntryKind::File { size_bytes, sparse } => {
                self.count(*size_bytes)?;
                let mode = self.first_mode(entry, PRIVATE_FILE_MODE);
                let file = self.create(&place, |dir, name| dir.create_file(name, mode))?;
                fill(&file, archive, sparse.as_ref()).map_err(|failed| match failed {
                    FillError::Archive(error) => error,
                    FillError::File(source) => at("write", &place)(source),
                })?;
                self.finish_file(&file, &place, entry)
            }
            EntryKind::Directory => self.put_directory(place, entry),
            EntryKind::HardLink { target } => self.put_hard_link(&place, &entry.name, target),
            EntryKind::Symlink { target } => {
                let target = name::c_string(&entry.name, target)?;
                self.create(&place, |dir, name| dir.create_symlink(&target, name))?;
                self.finish_object(&place, entry)
            }
            EntryKind::Node(node) => {
                self.create(&place, |dir, name| dir.create_node(name, *node))?;
                self.finish_object(&place, entry)
            }
        }
    }

    /// Sets what had to wait for the last entry.
    pub(super) fn finish(mut self) -> Result<Unpacked, UnpackError> {
        for (place, time) in std::mem::take(&mut self.directory_times) {
            // Something else may have taken its place, or its parent's, later in the archive.
            let Ok(parent) = self.parent(place.parent.as_deref()) else {
                continue;
            };
            if parent.kind(&place.name).map_err(at("look at", &place))? == Some(Kind::Directory) {
                parent
                    .set_times(&place.name, time)
                    .map_err(at("set the time of", &place))?;
            }
        }
        Ok(self.unpacked)
    }

    /// Whether what stands in an entry's place may be replaced by it.
    fn check_kind(&mut self, place: &Place, kind: &EntryKind) -> Result<(), UnpackError> {
        let Purpose::Files(Merge {
            keep_kinds: true, ..
        }) = self.purpose
        else {
            return Ok(());
        };
        let parent = self.parent(place.parent.as_deref())?;
        let there = parent.kind(&place.name).map_err(at("look at", place))?;
        let makes_directory = matches!(kind, EntryKind::Directory);
        match there {
            Some(there) if (there == Kind::Directory) != makes_directory => {
                Err(UnpackError::KindMismatch {
                    name: place.to_string(),
                    is_directory: there == Kind::Directory,
                })
            }
            _ => Ok(()),
        }
    }

    /// Whom an entry belongs to.
    fn owner(&self, entry: &Entry) -> (u32, u32) {
        let said = (entry.uid, entry.gid);
        let Purpose::Files(merge) = self.purpose else {
            return said;
        };
        let (uid, gid) = merge.owner.unwrap_or(said);
        let root = merge.mapped_root.unwrap_or((0, 0));
        (uid.saturating_add(root.0), gid.saturating_add(root.1))
    }

    /// The mode that an object is made with. Nobody sees a layer before it is whole, so there it is
    /// the final one, as far as the umask lets it; the bits that writing and chown clear come later.
    fn first_mode(&self, entry: &Entry, private: u32) -> u32 {
        match self.purpose {
            Purpose::Layer => entry.mode & 0o777,
            Purpose::Files(_) => private,
        }
    }

    fn count(&mut self, size_bytes: u64) -> Result<(), UnpackError> {
        let total = self.unpacked.size_bytes.saturating_add(size_bytes);
        if total > self.limits.layer_bytes {
            let limit = self.limits.layer_bytes;
            return Err(UnpackError::TooLarge { limit });
        }
        self.unpacked.size_bytes = total;
        Ok(())
    }

    fn put_directory(&mut self, place: Place, entry: &Entry) -> Result<(), UnpackError> {
        let mode = self.first_mode(entry, PRIVATE_DIR_MODE);
        let make = |dir: &Directory, name: &CStr| dir.create_dir(name, mode);
        let parent = self.parent(place.parent.as_deref())?;
        match make(parent, &place.name) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                match parent.kind(&place.name).map_err(at("look at", &place))? {
                    Some(Kind::Directory) => {}
                    // Hidden and made again in one layer: nothing of the lower one shows through.
                    Some(Kind::Node(WHITEOUT)) => {
                        self.create(&place, make)?;
                        self.make_opaque(&place)?;
                    }
                    _ => self.create(&place, make)?,
                }
            }
            created => created.map_err(at("create", &place))?,
        }
        self.finish_object(&place, entry)?;
        self.directory_times.push((place, entry.modified));
        Ok(())
    }

    fn put_hard_link(
        &mut self,
        place: &Place,
        entry_name: &[u8],
        target: &[u8],
    ) -> Result<(), UnpackError> {
        let target = match self.purpose {
            Purpose::Layer => name::parse_hard_link(entry_name, target)?,
            Purpose::Files(_) => match name::parse_plain(target)? {
                Target::Object(place) => place,
                _ => return Err(name::bad(entry_name, "the hard link's target is no file")),
            },
        };
        let link = at("find the target of the hard link", place);
        let dir = match &target.parent {
            Some(parent) => self.root.open_in_root(parent).map_err(&link)?,
            None => self.root.open_in_root(c".").map_err(&link)?,
        };
        if dir.kind(&target.name).map_err(&link)?.is_none() {
            return Err(link(io::ErrorKind::NotFound.into()));
        }
        if target == *place {
            return Ok(());
        }
        self.create(place, |parent, name| {
            parent.create_hard_link(&dir, &target.name, name)
        })
    }

    fn put_whiteout(&mut self, place: &Place) -> Result<(), UnpackError> {
        let parent = self.parent(place.parent.as_deref())?;
        match parent.create_node(&place.name, WHITEOUT) {
            // What this layer itself holds is not hidden by it, whatever the order of entries
            // (image-spec, "Whiteouts"); but of a directory only this layer's content shows.
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                match parent.kind(&place.name).map_err(at("look at", place))? {
                    Some(Kind::Directory) => self.make_opaque(place),
                    _ => Ok(()),
                }
            }
            created => created.map_err(at("hide", place)),
        }
    }

    fn put_opaque(&mut self, directory: Option<&CStr>) -> Result<(), UnpackError> {
        let parent = self.parent(directory)?;
        parent
            .set_own_xattr(OPAQUE.as_ref(), b"y")
            .map_err(|source| UnpackError::Write {
                doing: "hide lower content of",
                name: directory.map_or_else(String::new, |path| lossy(path.to_bytes())),
                source,
            })
    }

    fn make_opaque(&mut self, place: &Place) -> Result<(), UnpackError> {
        let parent = self.parent(place.parent.as_deref())?;
        parent
            .set_xattr(&place.name, OPAQUE.as_ref(), b"y")
            .map_err(at("hide lower content of", place))
    }

    /// Makes an object; what stands in its place goes first, as docker does it.
    fn create<T>(
        &mut self,
        place: &Place,
        make: impl Fn(&Directory, &CStr) -> io::Result<T>,
    ) -> Result<T, UnpackError> {
        let parent = self.parent(place.parent.as_deref())?;
        let made = match make(parent, &place.name) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                parent
                    .remove_tree(&place.name)
                    .map_err(at("replace", place))?;
                // Open parents may have been in what was removed.
                self.parents.clear();
                make(self.parent(place.parent.as_deref())?, &place.name)
            }
            made => made,
        };
        made.map_err(at("create", place))
    }

    fn finish_file(
        &mut self,
        file: &File,
        place: &Place,
        entry: &Entry,
    ) -> Result<(), UnpackError> {
        let there = file::status(file).map_err(at("look at", place))?;
        let (uid, gid) = self.owner(entry);
        if (there.st_uid, there.st_gid) != (uid, gid) {
            file::set_owner(file, uid, gid).map_err(at("set the owner of", place))?;
        }
        if there.st_mode & MODE_BITS != entry.mode {
            file::set_mode(file, entry.mode).map_err(at("set the mode of", place))?;
        }
        self.unpacked.skipped_xattrs +=
            set_xattrs(entry, |key, value| file::set_xattr(file, key, value))
                .map_err(at("set an extended attribute of", place))?;
        file::set_times(file, entry.modified).map_err(at("set the time of", place))
    }

    fn finish_object(&mut self, place: &Place, entry: &Entry) -> Result<(), UnpackError> {
        let (uid, gid) = self.owner(entry);
        let parent = self.parent(place.parent.as_deref())?;
        let name = &place.name;
        let there = parent
            .stat(name)
            .and_then(|there| there.ok_or_else(|| io::ErrorKind::NotFound.into()))
            .map_err(at("look at", place))?;
        if (there.st_uid, there.st_gid) != (uid, gid) {
            parent
                .set_owner(name, uid, gid)
                .map_err(at("set the owner of", place))?;
        }
        // A symbolic link has no mode, and chmod would follow it.
        let is_symlink = matches!(entry.kind, EntryKind::Symlink { .. });
        if !is_symlink && there.st_mode & MODE_BITS != entry.mode {
            parent
                .set_mode(name, entry.mode)
                .map_err(at("set the mode of", place))?;
        }
        let skipped = set_xattrs(entry, |key, value| parent.set_xattr(name, key, value))
            .map_err(at("set an extended attribute of", place))?;
        if !matches!(entry.kind, EntryKind::Directory) {
            parent
                .set_times(name, entry.modified)
                .map_err(at("set the time of", place))?;
        }
        self.unpacked.skipped_xattrs += skipped;
        Ok(())
    }

    /// The directory at a cleaned path, made if it is not there; `None` is the root.
    ///
    /// Open ones are kept: where others write in the tree meanwhile, a directory that they moved
    /// is still one of the tree's.
    fn parent(&mut self, path: Option<&CStr>) -> Result<&Directory, UnpackError> {
        let Some(path) = path else {
            return Ok(&self.root);
        };
        while let Some((open, _)) = self.parents.last()
            && !is_prefix(open, path)
        {
            self.parents.pop();
        }
        if self
            .parents
            .last()
            .is_none_or(|(open, _)| open.as_c_str() != path)
        {
            let directory = self.open_or_make(path)?;
            if self.parents.len() == MAX_OPEN_PARENTS {
                self.parents.remove(0);
            }
            self.parents.push((path.to_owned(), directory));
        }
        Ok(self
            .parents
            .last()
            .map_or(&self.root, |(_, directory)| directory))
    }

    fn open_or_make(&self, path: &CStr) -> Result<Directory, UnpackError> {
        let failed = |source| UnpackError::Write {
            doing: "open the directory",
            name: lossy(path.to_bytes()),
            source,
        };
        match self.root.open_in_root(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            opened => return opened.map_err(failed),
        }
        // From the top, each prefix resolved from the root again: a component may be a link.
        let bytes = path.to_bytes();
        let mut here = self.root.open_in_root(c".").map_err(failed)?;
        let mut start = 0;
        while start < bytes.len() {
            let end = bytes[start..]
                .iter()
                .position(|&b| b == b'/')
                .map_or(bytes.len(), |n| start + n);
            let prefix = name::c_string(bytes, &bytes[..end])?;
            here = match self.root.open_in_root(&prefix) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => {
                    let name = name::c_string(bytes, &bytes[start..end])?;
                    // Fails with EEXIST on a link that leads nowhere.
                    here.create_dir(&name, PRIVATE_DIR_MODE).map_err(failed)?;
                    here.set_mode(&name, IMPLIED_MODE).map_err(failed)?;
                    here.open_child(&name).map_err(failed)?
                }
                opened => opened.map_err(failed)?,
            };
            start = end + 1;
        }
        Ok(here)
    }
}

/// Whether `open` is `path` or a directory on the way to it.
fn is_prefix(open: &CStr, path: &CStr) -> bool {
    let rest = path.to_bytes().strip_prefix(open.to_bytes());
    rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(b"/"))
}

/// Sets an entry's extended attributes; returns how many this file system cannot hold.
fn set_xattrs(
    entry: &Entry,
    set: impl Fn(&std::ffi::OsStr, &[u8]) -> io::Result<()>,
) -> io::Result<u64> {
    let mut n_skipped = 0;
    for (key, value) in &entry.xattrs {
        // Overlayfs keeps its own notes there; an archive has no business writing them.
        let bytes = key.as_encoded_bytes();
        if bytes.starts_with(b"trusted.overlay.") || bytes.starts_with(b"user.overlay.") {
            n_skipped += 1;
            continue;
        }
        match set(key, value) {
            Ok(()) => {}
            // Not supported at all, or not on this kind of object: docker goes on as well.
            Err(error)
                if matches!(
                    error.kind(),
                    io::ErrorKind::Unsupported | io::ErrorKind::PermissionDenied
                ) =>
            {
                n_skipped += 1;
            }
            Err(error) => return Err(error),
        }
    }
    Ok(n_skipped)
}
