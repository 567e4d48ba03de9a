//! A test's own `/etc`: files where clients look for them, seen by nobody else.

use std::path::Path;

use nix::mount::{MntFlags, MsFlags, mount, umount2};
use nix::sched::{CloneFlags, unshare};
use tempfile::TempDir;

/// What is written under `/etc` by this thread and its children from here on is theirs alone, and
/// gone with this.
#[derive(Debug)]
pub struct PrivateEtc {
    #[expect(dead_code, reason = "held for what its drop removes")]
    layers: Layers,
}

#[derive(Debug)]
struct Layers(TempDir);

impl PrivateEtc {
    pub fn new() -> Self {
        let directory = TempDir::new().expect("a temporary directory");
        unshare(CloneFlags::CLONE_NEWNS).expect("a mount namespace");
        let none = None::<&str>;
        let alone = MsFlags::MS_REC | MsFlags::MS_SLAVE;
        mount(none, "/", none, alone, none).expect("mounts stay here");
        let place = directory.path();
        let memory = Some("tmpfs");
        mount(memory, place, memory, MsFlags::empty(), none).expect("a place for changes");
        let [upper, work] = ["upper", "work"].map(|name| {
            let path = place.join(name);
            std::fs::create_dir(&path).expect("a directory");
            path.display().to_string()
        });
        let options = format!("lowerdir=/etc,upperdir={upper},workdir={work}");
        let overlay = Some("overlay");
        mount(
            overlay,
            "/etc",
            overlay,
            MsFlags::empty(),
            Some(options.as_str()),
        )
        .expect("changes lie over /etc");
        Self {
            layers: Layers(directory),
        }
    }

    /// Writes a file, and the directories that it lies in.
    pub fn write(&self, path: &str, text: &str) {
        let path = Path::new(path);
        assert!(path.starts_with("/etc"), "{}", path.display());
        let parent = path.parent().expect("a file in a directory");
        std::fs::create_dir_all(parent).expect("a directory");
        std::fs::write(path, text).expect("a file");
    }
}

impl Default for PrivateEtc {
    fn default() -> Self {
        Self::new()
    }
}

impl Drop for Layers {
    fn drop(&mut self) {
        umount2("/etc", MntFlags::MNT_DETACH).expect("/etc is what it was");
        umount2(self.0.path(), MntFlags::MNT_DETACH).expect("changes can be forgotten");
    }
}
