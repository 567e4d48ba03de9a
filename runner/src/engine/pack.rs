//! Files become a tar archive, as they are: owners, modes, times, links, attributes.

use std::collections::HashMap;
use std::ffi::{CStr, OsStr};
use std::io::{self, Read as _, Write};
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use tar::{Builder, EntryType, Header};

use crate::sys::dir::{Directory, FileStat, Kind, Node, kind_of};

/// Everything below a directory, without the directory itself.
pub(in crate::engine) fn pack_content(root: &Directory, writer: &mut dyn Write) -> io::Result<()> {
    let mut packer = Packer::new(writer, Rewrite::default());
    packer.put_content(root, Path::new(""))?;
    packer.finish()
}

/// One object and what is below it, under another name.
pub(in crate::engine) fn pack_object(
    (parent, name): (&Directory, &CStr),
    archive_name: &Path,
    rewrite: Rewrite,
    writer: &mut dyn Write,
) -> io::Result<()> {
    let mut packer = Packer::new(writer, rewrite);
    packer.put(parent, name, archive_name)?;
    packer.finish()
}

/// What an archive says of its entries instead of what is on the disk.
#[derive(Debug, Clone, Copy, Default)]
pub(in crate::engine) struct Rewrite {
    /// Whom everything belongs to.
    pub(in crate::engine) owner: Option<(u32, u32)>,
    /// What root of the container is on the disk, where that is another.
    pub(in crate::engine) mapped_root: Option<(u32, u32)>,
    /// Permission bits of everything but links.
    pub(in crate::engine) mode: Option<u32>,
    /// No times, so that equal content gives equal archives.
    pub(in crate::engine) without_times: bool,
}

/// Writes an archive object by object.
pub(in crate::engine) struct Packer<'a> {
    builder: Builder<&'a mut dyn Write>,
    rewrite: Rewrite,
    /// Where a file with several names was packed first.
    first_names: HashMap<(u64, u64), PathBuf>,
}

impl<'a> Packer<'a> {
    pub(in crate::engine) fn new(writer: &'a mut dyn Write, rewrite: Rewrite) -> Self {
        Self {
            builder: Builder::new(writer),
            rewrite,
            first_names: HashMap::new(),
        }
    }

    pub(in crate::engine) fn finish(mut self) -> io::Result<()> {
        self.builder.finish()
    }

    /// Everything below a directory.
    pub(in crate::engine) fn put_content(
        &mut self,
        directory: &Directory,
        path: &Path,
    ) -> io::Result<()> {
        for name in directory.names()? {
            let below = path.join(OsStr::from_bytes(name.to_bytes()));
            self.put(directory, &name, &below)?;
        }
        Ok(())
    }

    /// What has gone since its name was read is left out.
    pub(in crate::engine) fn put(
        &mut self,
        parent: &Directory,
        name: &CStr,
        path: &Path,
    ) -> io::Result<()> {
        let Some(stat) = parent.stat(name)? else {
            return Ok(());
        };
        let mut header = self.header(&stat);
        let kind = kind_of(&stat);
        if kind == Kind::Socket {
            return Ok(());
        }
        if stat.st_nlink > 1 && kind != Kind::Directory {
            if let Some(first) = self.first_names.get(&(stat.st_dev, stat.st_ino)) {
                header.set_entry_type(EntryType::Link);
                header.set_size(0);
                return self.builder.append_link(&mut header, path, first);
            }
            self.first_names
                .insert((stat.st_dev, stat.st_ino), path.to_owned());
        }
        self.put_attributes(parent, name)?;
        match kind {
            Kind::File { .. } => self.put_file(parent, name, (header, path)),
            Kind::Directory => {
                header.set_entry_type(EntryType::Directory);
                let mut with_slash = path.as_os_str().to_owned();
                with_slash.push("/");
                self.builder
                    .append_data(&mut header, with_slash, io::empty())?;
                self.put_content(&parent.open_child(name)?, path)
            }
            Kind::Symlink => {
                header.set_entry_type(EntryType::Symlink);
                let target = parent.read_link(name)?;
                self.builder.append_link(&mut header, path, target)
            }
            Kind::Node(node) => {
                set_node(&mut header, node)?;
                self.builder.append_data(&mut header, path, io::empty())
            }
            Kind::Socket => Ok(()),
        }
    }

    fn header(&self, stat: &FileStat) -> Header {
        let (root_uid, root_gid) = self.rewrite.mapped_root.unwrap_or((0, 0));
        let inside = |id: u32, root: u32| id.checked_sub(root).unwrap_or(id);
        let found = (inside(stat.st_uid, root_uid), inside(stat.st_gid, root_gid));
        let (uid, gid) = self.rewrite.owner.unwrap_or(found);
        let mtime = self.time(stat.st_mtime);
        let mut header = Header::new_gnu();
        header.set_mode(self.rewrite.mode.unwrap_or(stat.st_mode & 0o7777));
        header.set_uid(uid.into());
        header.set_gid(gid.into());
        header.set_mtime(mtime);
        header.set_size(0);
        header
    }

    fn time(&self, seconds: i64) -> u64 {
        if self.rewrite.without_times {
            return 0;
        }
        u64::try_from(seconds).unwrap_or(0)
    }

    /// A file that is not on any disk.
    pub(in crate::engine) fn put_bytes(&mut self, path: &Path, bytes: &[u8]) -> io::Result<()> {
        let mut header = self.made_up(0o644);
        header.set_entry_type(EntryType::Regular);
        header.set_size(bytes.len() as u64);
        self.builder.append_data(&mut header, path, bytes)
    }

    /// A directory that is not on any disk.
    pub(in crate::engine) fn put_directory(&mut self, path: &Path) -> io::Result<()> {
        let mut header = self.made_up(0o755);
        header.set_entry_type(EntryType::Directory);
        let mut with_slash = path.as_os_str().to_owned();
        with_slash.push("/");
        self.builder
            .append_data(&mut header, with_slash, io::empty())
    }

    fn made_up(&self, mode: u32) -> Header {
        let (uid, gid) = self.rewrite.owner.unwrap_or((0, 0));
        let now = jiff::Timestamp::now().as_second();
        let mut header = Header::new_gnu();
        header.set_mode(self.rewrite.mode.unwrap_or(mode));
        header.set_uid(uid.into());
        header.set_gid(gid.into());
        header.set_mtime(self.time(now));
        header.set_size(0);
        header
    }

    /// The header says how long the file was when it was opened; one that shrinks meanwhile is
    /// filled up with zeros, one that grows is cut.
    fn put_file(
        &mut self,
        parent: &Directory,
        name: &CStr,
        (mut header, path): (Header, &Path),
    ) -> io::Result<()> {
        let file = parent.open_file(name)?;
        let size = file.metadata()?.len();
        header.set_entry_type(EntryType::Regular);
        header.set_size(size);
        let content = file.chain(io::repeat(0)).take(size);
        self.builder.append_data(&mut header, path, content)
    }

    fn put_attributes(&mut self, parent: &Directory, name: &CStr) -> io::Result<()> {
        let attributes: Vec<(String, Vec<u8>)> = match parent.xattrs(name) {
            Ok(found) => found
                .into_iter()
                .filter(|(key, _)| is_packed(key.as_bytes()))
                .map(|(key, value)| (format!("SCHILY.xattr.{}", key.to_string_lossy()), value))
                .collect(),
            // Not every file system has them.
            Err(_) => Vec::new(),
        };
        if attributes.is_empty() {
            return Ok(());
        }
        let attributes = attributes
            .iter()
            .map(|(key, value)| (key.as_str(), value.as_slice()));
        self.builder.append_pax_extensions(attributes)
    }
}

/// Docker's choice: capabilities, and what programs put there themselves.
fn is_packed(key: &[u8]) -> bool {
    key == b"security.capability" || key.starts_with(b"user.")
}

fn set_node(header: &mut Header, node: Node) -> io::Result<()> {
    let (kind, major, minor) = match node {
        Node::Fifo => (EntryType::Fifo, 0, 0),
        Node::Char { major, minor } => (EntryType::Char, major, minor),
        Node::Block { major, minor } => (EntryType::Block, major, minor),
    };
    header.set_entry_type(kind);
    let number = |part: u64| u32::try_from(part).map_err(io::Error::other);
    header.set_device_major(number(major)?)?;
    header.set_device_minor(number(minor)?)
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::{MetadataExt as _, symlink};

    use super::*;
    use crate::image::unpack::{Merge, unpack_files};

    #[test]
    fn what_is_packed_unpacks_the_same() {
        let dir = tempfile::tempdir().unwrap();
        let (from, to) = (dir.path().join("from"), dir.path().join("to"));
        let deep = from.join("a").join("d".repeat(200));
        fs::create_dir_all(&deep).unwrap();
        fs::create_dir(&to).unwrap();
        fs::write(deep.join("f"), vec![7; 100_000]).unwrap();
        fs::hard_link(deep.join("f"), from.join("second")).unwrap();
        symlink("x".repeat(150), from.join("link")).unwrap();
        fs::write(from.join(".wh.name"), "just a name").unwrap();
        let mut archive = Vec::new();
        pack_content(&Directory::open(&from).unwrap(), &mut archive).unwrap();
        let root = Directory::open(&to).unwrap();
        unpack_files(archive.as_slice(), root, Merge::default()).unwrap();
        let copy = to.join("a").join("d".repeat(200)).join("f");
        assert_eq!(fs::read(&copy).unwrap(), vec![7; 100_000]);
        let inode = |path: &Path| fs::metadata(path).unwrap().ino();
        assert_eq!(inode(&copy), inode(&to.join("second")));
        assert_eq!(
            fs::read_link(to.join("link")).unwrap(),
            Path::new(&"x".repeat(150))
        );
        assert!(to.join(".wh.name").exists());
    }

    #[test]
    fn links_in_the_target_lead_nowhere_else() {
        let dir = tempfile::tempdir().unwrap();
        let (outside, to) = (dir.path().join("outside"), dir.path().join("to"));
        fs::create_dir(&outside).unwrap();
        fs::create_dir(&to).unwrap();
        symlink(&outside, to.join("link")).unwrap();
        let mut builder = Builder::new(Vec::new());
        let mut header = Header::new_gnu();
        header.set_size(1);
        header.set_mode(0o644);
        builder
            .append_data(&mut header, "link/f", &b"x"[..])
            .unwrap();
        let archive = builder.into_inner().unwrap();
        let root = Directory::open(&to).unwrap();
        // It means a path inside of `to`, which is made or fails; never `outside`.
        drop(unpack_files(archive.as_slice(), root, Merge::default()));
        assert_eq!(fs::read_dir(&outside).unwrap().count(), 0);
    }

    #[test]
    fn kinds_are_kept_when_asked() {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("d")).unwrap();
        let mut builder = Builder::new(Vec::new());
        let mut header = Header::new_gnu();
        header.set_size(1);
        header.set_mode(0o644);
        builder.append_data(&mut header, "d", &b"x"[..]).unwrap();
        let archive = builder.into_inner().unwrap();
        let root = Directory::open(dir.path()).unwrap();
        let keep = Merge {
            keep_kinds: true,
            ..Merge::default()
        };
        let error = unpack_files(archive.as_slice(), root, keep).unwrap_err();
        assert!(error.to_string().starts_with("cannot overwrite directory"));
    }
}
