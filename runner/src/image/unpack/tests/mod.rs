//! The unpacker against archives of every kind. They need root, as the unpacker does.

mod hostile;
mod limits;
mod peers;
mod round_trip;
mod shapes;

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use super::*;

/// Writes archives, also ones that no decent program writes.
#[derive(Default, Clone)]
pub(super) struct Tar(pub(super) Vec<u8>);

impl Tar {
    pub(super) fn header(name: &[u8], kind: u8) -> tar::Header {
        let mut header = tar::Header::new_gnu();
        let field = &mut header.as_old_mut().name;
        let n_bytes = name.len().min(field.len());
        field[..n_bytes].copy_from_slice(&name[..n_bytes]);
        header.set_entry_type(tar::EntryType::new(kind));
        header.set_mode(if kind == b'5' { 0o755 } else { 0o644 });
        header.set_uid(0);
        header.set_gid(0);
        header.set_mtime(1_600_000_000);
        header.set_size(0);
        header
    }

    pub(super) fn push(mut self, mut header: tar::Header, content: &[u8]) -> Self {
        header.set_cksum();
        self.0.extend_from_slice(header.as_bytes());
        self.0.extend_from_slice(content);
        self.0.resize(self.0.len().next_multiple_of(512), 0);
        self
    }

    pub(super) fn entry(self, kind: u8, name: &str, content: &[u8]) -> Self {
        let mut header = Self::header(name.as_bytes(), kind);
        header.set_size(content.len() as u64);
        self.push(header, content)
    }

    pub(super) fn file(self, name: &str, content: &str) -> Self {
        self.entry(b'0', name, content.as_bytes())
    }

    pub(super) fn dir(self, name: &str) -> Self {
        self.entry(b'5', name, b"")
    }

    fn to(self, kind: u8, name: &str, target: &str) -> Self {
        let mut header = Self::header(name.as_bytes(), kind);
        header.set_link_name_literal(target).unwrap();
        self.push(header, b"")
    }

    pub(super) fn symlink(self, name: &str, target: &str) -> Self {
        self.to(b'2', name, target)
    }

    pub(super) fn hard_link(self, name: &str, target: &str) -> Self {
        self.to(b'1', name, target)
    }

    pub(super) fn node(self, kind: u8, name: &str, (major, minor): (u32, u32)) -> Self {
        let mut header = Self::header(name.as_bytes(), kind);
        header.set_device_major(major).unwrap();
        header.set_device_minor(minor).unwrap();
        self.push(header, b"")
    }

    /// An extended header for the next entry.
    pub(super) fn pax(self, records: &[(&str, &[u8])]) -> Self {
        let mut content = Vec::new();
        for (key, value) in records {
            let rest = key.len() + value.len() + 3;
            let mut length = rest + 1;
            while length != rest + length.to_string().len() {
                length = rest + length.to_string().len();
            }
            content.extend_from_slice(format!("{length} {key}=").as_bytes());
            content.extend_from_slice(value);
            content.push(b'\n');
        }
        self.entry(b'x', "PaxHeaders/x", &content)
    }

    pub(super) fn end(mut self) -> Vec<u8> {
        self.0.extend_from_slice(&[0; 1024]);
        self.0
    }
}

/// A layer directory in a directory of its own, with a file beside it that must stay as it is.
pub(super) struct Ground {
    dir: tempfile::TempDir,
}

impl Ground {
    pub(super) fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir(dir.path().join("layer")).unwrap();
        std::fs::write(dir.path().join("outside"), "untouched").unwrap();
        Self { dir }
    }

    pub(super) fn layer(&self) -> PathBuf {
        self.dir.path().join("layer")
    }

    pub(super) fn unpack(&self, archive: &[u8]) -> Result<Unpacked, UnpackError> {
        self.unpack_with(archive, Limits::default())
    }

    pub(super) fn unpack_with(
        &self,
        archive: &[u8],
        limits: Limits,
    ) -> Result<Unpacked, UnpackError> {
        let unpacked = unpack(archive, &self.layer(), limits);
        self.assert_nothing_outside();
        unpacked
    }

    pub(super) fn assert_nothing_outside(&self) {
        let mut names: Vec<_> = std::fs::read_dir(self.dir.path())
            .unwrap()
            .map(|entry| entry.unwrap().file_name())
            .collect();
        names.sort();
        assert_eq!(names, ["layer", "outside"]);
        let outside = self.dir.path().join("outside");
        assert_eq!(std::fs::read_to_string(&outside).unwrap(), "untouched");
        assert_eq!(outside.metadata().unwrap().nlink(), 1);
    }

    pub(super) fn tree(&self) -> BTreeMap<PathBuf, String> {
        describe(&self.layer())
    }
}

/// Everything about a tree but access and change times, one line per object.
pub(in crate::image) fn describe(root: &Path) -> BTreeMap<PathBuf, String> {
    let mut found = BTreeMap::new();
    let mut first_name = BTreeMap::new();
    let mut pending = vec![PathBuf::new()];
    while let Some(relative) = pending.pop() {
        let path = root.join(&relative);
        let mut names: Vec<_> = std::fs::read_dir(&path)
            .unwrap()
            .map(|entry| entry.unwrap().file_name())
            .collect();
        names.sort();
        for name in names {
            let (relative, path) = (relative.join(&name), path.join(&name));
            let stat = path.symlink_metadata().unwrap();
            let first = first_name
                .entry(stat.ino())
                .or_insert_with(|| relative.clone());
            let same_as = (*first != relative).then(|| first.clone());
            let content = match stat.mode() & libc::S_IFMT {
                libc::S_IFREG => {
                    let digest = sum_of(&std::fs::read(&path).unwrap());
                    format!("{} bytes {digest:016x}", stat.size())
                }
                libc::S_IFLNK => format!("-> {}", path.read_link().unwrap().display()),
                libc::S_IFDIR => String::new(),
                _ => format!("device {:x}", stat.rdev()),
            };
            let mut xattrs: Vec<_> = xattr::list(&path)
                .unwrap()
                .map(|key| {
                    let value = xattr::get(&path, &key).unwrap().unwrap_or_default();
                    format!("{}={:?}", key.display(), OsStr::from_bytes(&value))
                })
                .collect();
            xattrs.sort();
            let line = format!(
                "{:o} {}:{} {}.{:09} {content} {xattrs:?} {same_as:?}",
                stat.mode(),
                stat.uid(),
                stat.gid(),
                stat.mtime(),
                stat.mtime_nsec(),
            );
            if stat.is_dir() {
                pending.push(relative.clone());
            }
            found.insert(relative, line);
        }
    }
    found
}

fn sum_of(bytes: &[u8]) -> u64 {
    use std::hash::{DefaultHasher, Hasher as _};
    let mut hasher = DefaultHasher::new();
    hasher.write(bytes);
    hasher.finish()
}
