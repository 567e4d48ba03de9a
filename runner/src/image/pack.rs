//! A directory becomes an archive: a container's changes as a layer, or any tree as it is.
//!
//! The counterpart of `unpack`, and as careful: the tree belongs to a container that may be running,
//! so every name is opened without following links, and what changes meanwhile is packed as it is
//! found. Archives are POSIX (pax); names are sorted, so the same tree gives the same bytes.

use std::collections::HashMap;
use std::ffi::{CStr, CString, OsString};
use std::fmt;
use std::fs::File;
use std::io::{self, Read as _, Write};
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use nix::sys::stat::FileStat;
use tar::{Builder, EntryType, Header};

use crate::sys::dir::{Directory, Kind, Node, kind_of};

/// How overlayfs' marks are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Marks {
    /// The tree is the upper directory of an overlay: marks become whiteouts of a layer
    /// (image-spec, "Whiteouts").
    Whiteouts,
    /// The tree is what it is.
    None,
}

/// Writes an archive. Blocking.
pub struct Packer<W: Write> {
    builder: Builder<W>,
    marks: Marks,
    /// First names of files that have several.
    linked: HashMap<(u64, u64), PathBuf>,
}

impl<W: Write> fmt::Debug for Packer<W> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Packer")
            .field("marks", &self.marks)
            .finish_non_exhaustive()
    }
}

/// Octal digits of a ustar field hold less.
const MAX_USTAR_ID: u32 = 0o7_777_777;

/// Set by overlayfs on a directory that hides the lower one.
const OPAQUE: &str = "trusted.overlay.opaque";
/// Set by overlayfs on a directory that was renamed; its lower content is elsewhere.
const REDIRECT: &str = "trusted.overlay.redirect";

impl<W: Write> Packer<W> {
    pub fn new(writer: W, marks: Marks) -> Self {
        Self {
            builder: Builder::new(writer),
            marks,
            linked: HashMap::new(),
        }
    }

    /// Packs everything in a directory, but not itself, under `below`.
    pub fn add_content(&mut self, directory: Directory, below: &Path) -> io::Result<()> {
        // An explicit stack: trees may nest deeper than a thread's stack reaches. It holds one open
        // directory per level, names still to do last first.
        let mut levels = vec![Level::new(directory, below)?];
        while let Some(level) = levels.last_mut() {
            let Some(name) = level.names.pop() else {
                levels.pop();
                continue;
            };
            let path = level
                .path
                .join(std::ffi::OsStr::from_bytes(name.to_bytes()));
            if let Some(child) = self.add_object(&level.directory, &name, &path)? {
                levels.push(Level::new(child, &path)?);
            }
        }
        Ok(())
    }

    /// Packs one object, and everything below it, as `path`.
    pub fn add(&mut self, parent: &Directory, name: &CStr, path: &Path) -> io::Result<()> {
        match self.add_object(parent, name, path)? {
            Some(directory) => self.add_content(directory, path),
            None => Ok(()),
        }
    }

    /// Writes the end of the archive.
    pub fn finish(self) -> io::Result<W> {
        self.builder.into_inner()
    }

    /// Packs one object; returns a directory to be packed next.
    fn add_object(
        &mut self,
        parent: &Directory,
        name: &CStr,
        path: &Path,
    ) -> io::Result<Option<Directory>> {
        let Some(stat) = parent.stat(name)? else {
            return Ok(None);
        };
        let mut entry = Entry::new(&stat, path, parent.xattrs(name)?);
        match kind_of(&stat) {
            Kind::Node(Node::Char { major: 0, minor: 0 }) if self.marks == Marks::Whiteouts => {
                self.whiteout(path)?;
            }
            // Nobody listens in an archive.
            Kind::Socket => {}
            Kind::Directory => return self.add_directory(parent, name, entry).map(Some),
            Kind::Symlink => {
                entry.link(EntryType::Symlink, Path::new(&parent.read_link(name)?));
                self.write(entry, io::empty())?;
            }
            Kind::Node(node) => {
                entry.node(node)?;
                self.write(entry, io::empty())?;
            }
            Kind::File { size_bytes } => {
                if stat.st_nlink > 1
                    && let Some(first) = self.linked.get(&(stat.st_dev, stat.st_ino))
                {
                    entry.link(EntryType::Link, first);
                    return self.write(entry, io::empty()).map(|()| None);
                }
                let file = parent.open_file(name)?;
                entry.header.set_size(size_bytes);
                self.write(entry, Exactly::new(file, size_bytes))?;
                if stat.st_nlink > 1 {
                    self.linked
                        .insert((stat.st_dev, stat.st_ino), path.to_owned());
                }
            }
        }
        Ok(None)
    }

    fn add_directory(
        &mut self,
        parent: &Directory,
        name: &CStr,
        mut entry: Entry,
    ) -> io::Result<Directory> {
        let is_opaque = entry.mark(OPAQUE).is_some_and(|value| value == b"y");
        if self.marks == Marks::Whiteouts && entry.mark(REDIRECT).is_some() {
            let message = format!("{} was renamed by overlayfs", entry.path.display());
            return Err(io::Error::new(io::ErrorKind::Unsupported, message));
        }
        let path = entry.path.clone();
        entry.header.set_entry_type(EntryType::Directory);
        self.write(entry, io::empty())?;
        if is_opaque && self.marks == Marks::Whiteouts {
            self.empty_file(&path.join(".wh..wh..opq"))?;
        }
        parent.open_child(name)
    }

    fn whiteout(&mut self, path: &Path) -> io::Result<()> {
        let mut name = OsString::from(".wh.");
        name.push(path.file_name().unwrap_or_default());
        self.empty_file(&path.with_file_name(name))
    }

    fn empty_file(&mut self, path: &Path) -> io::Result<()> {
        let mut header = Header::new_ustar();
        header.set_mode(0o600);
        let entry = Entry {
            header,
            path: path.to_owned(),
            link: None,
            records: Vec::new(),
            xattrs: Vec::new(),
        };
        self.write(entry, io::empty())
    }

    fn write(&mut self, mut entry: Entry, content: impl io::Read) -> io::Result<()> {
        let mut name = entry.path.as_os_str().as_bytes().to_vec();
        if entry.header.entry_type() == EntryType::Directory {
            name.push(b'/');
        }
        put_text(
            &mut entry.header.as_old_mut().name,
            &name,
            "path",
            &mut entry.records,
        );
        if let Some(link) = entry.link.take() {
            let field = &mut entry.header.as_old_mut().linkname;
            put_text(field, &link, "linkpath", &mut entry.records);
        }
        for (key, value) in &entry.xattrs {
            if is_portable(key.as_encoded_bytes()) {
                let key = format!("SCHILY.xattr.{}", key.display());
                entry.records.push((key, value.clone()));
            }
        }
        let records = entry
            .records
            .iter()
            .map(|(key, value)| (key.as_str(), value.as_slice()));
        self.builder.append_pax_extensions(records)?;
        entry.header.set_cksum();
        self.builder.append(&entry.header, content)
    }
}

/// Whether an extended attribute means something on another machine.
fn is_portable(key: &[u8]) -> bool {
    key == b"security.capability"
        || key.starts_with(b"user.")
        || key.starts_with(b"system.posix_acl")
}

/// A header field where the text fits and is plain, an extended record where not.
fn put_text(field: &mut [u8], text: &[u8], key: &str, records: &mut Vec<(String, Vec<u8>)>) {
    if text.len() > field.len() || !text.is_ascii() {
        records.push((key.to_owned(), text.to_vec()));
    }
    let n_bytes = text.len().min(field.len());
    field[..n_bytes].copy_from_slice(&text[..n_bytes]);
}

/// A directory being packed.
struct Level {
    directory: Directory,
    path: PathBuf,
    /// Still to do, last name first.
    names: Vec<CString>,
}

impl Level {
    fn new(directory: Directory, path: &Path) -> io::Result<Self> {
        let mut names = directory.names()?;
        names.reverse();
        Ok(Self {
            directory,
            path: path.to_owned(),
            names,
        })
    }
}

/// One entry on its way into the archive.
struct Entry {
    header: Header,
    path: PathBuf,
    link: Option<Vec<u8>>,
    /// Extended header records.
    records: Vec<(String, Vec<u8>)>,
    xattrs: Vec<(OsString, Vec<u8>)>,
}

impl Entry {
    fn new(stat: &FileStat, path: &Path, xattrs: Vec<(OsString, Vec<u8>)>) -> Self {
        let mut header = Header::new_ustar();
        let mut records = Vec::new();
        header.set_mode(stat.st_mode & 0o7777);
        header.set_entry_type(EntryType::Regular);
        header.set_size(0);
        if stat.st_uid > MAX_USTAR_ID {
            records.push(("uid".to_owned(), stat.st_uid.to_string().into_bytes()));
        }
        if stat.st_gid > MAX_USTAR_ID {
            records.push(("gid".to_owned(), stat.st_gid.to_string().into_bytes()));
        }
        header.set_uid(u64::from(stat.st_uid.min(MAX_USTAR_ID)));
        header.set_gid(u64::from(stat.st_gid.min(MAX_USTAR_ID)));
        header.set_mtime(u64::try_from(stat.st_mtime).unwrap_or(0));
        if stat.st_mtime_nsec != 0 || stat.st_mtime < 0 {
            let time = decimal_time(stat.st_mtime, stat.st_mtime_nsec);
            records.push(("mtime".to_owned(), time.into_bytes()));
        }
        Self {
            header,
            path: path.to_owned(),
            link: None,
            records,
            xattrs,
        }
    }

    fn link(&mut self, kind: EntryType, target: &Path) {
        self.header.set_entry_type(kind);
        self.link = Some(target.as_os_str().as_bytes().to_vec());
    }

    fn node(&mut self, node: Node) -> io::Result<()> {
        let (kind, major, minor) = match node {
            Node::Fifo => (EntryType::Fifo, 0, 0),
            Node::Char { major, minor } => (EntryType::Char, major, minor),
            Node::Block { major, minor } => (EntryType::Block, major, minor),
        };
        let number = |number: u64| u32::try_from(number).map_err(io::Error::other);
        self.header.set_entry_type(kind);
        self.header.set_device_major(number(major)?)?;
        self.header.set_device_minor(number(minor)?)
    }

    fn mark(&self, key: &str) -> Option<&[u8]> {
        let found = self.xattrs.iter().find(|(name, _)| name == key);
        found.map(|(_, value)| value.as_slice())
    }
}

/// Seconds with nine places; the nanoseconds of a negative time count forwards.
fn decimal_time(seconds: i64, nanoseconds: i64) -> String {
    if seconds < 0 && nanoseconds > 0 {
        let (whole, part) = (-(seconds + 1), 1_000_000_000 - nanoseconds);
        return format!("-{whole}.{part:09}");
    }
    format!("{seconds}.{nanoseconds:09}")
}

/// A file's first bytes, zeros where it has become shorter: the header has promised its size.
struct Exactly {
    file: io::Chain<File, io::Repeat>,
    left_bytes: u64,
}

impl Exactly {
    fn new(file: File, size_bytes: u64) -> Self {
        Self {
            file: file.chain(io::repeat(0)),
            left_bytes: size_bytes,
        }
    }
}

impl io::Read for Exactly {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let left = usize::try_from(self.left_bytes).unwrap_or(usize::MAX);
        let wanted = buffer.len().min(left);
        let n_bytes = self.file.read(&mut buffer[..wanted])?;
        self.left_bytes -= n_bytes as u64;
        Ok(n_bytes)
    }
}
