//! Debian's kernel for virtual machines, from its package and not installed on this machine.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::CommandExt as _;
use crate::fixture::made_once;

/// The package that depends on the newest such kernel.
const PACKAGE: &str = "linux-image-cloud-amd64";

/// A kernel and its modules, unpacked.
#[derive(Debug)]
pub struct Kernel {
    pub image: PathBuf,
    modules: PathBuf,
}

impl Kernel {
    /// Downloads it at the first call, kept under `target/fixtures`.
    pub fn debian() -> Self {
        let root = made_once("kernel", |directory| {
            let package = newest_package();
            Command::new("apt-get")
                .args(["download", "-q", &package])
                .current_dir(directory)
                .finish()
                .ok();
            let archive = only_entry(directory);
            Command::new("dpkg")
                .arg("-x")
                .args([&archive, directory])
                .finish()
                .ok();
            fs::remove_file(archive).expect("the package is not needed any more");
            let version = only_entry(&directory.join("lib/modules"));
            Command::new("/sbin/depmod")
                .arg("-b")
                .arg(directory)
                .arg(version.file_name().expect("a version"))
                .finish()
                .ok();
        });
        let boot = fs::read_dir(root.join("boot")).expect("what a kernel boots from");
        let image = boot
            .map(|entry| entry.expect("an entry").path())
            .find(|path| path.to_string_lossy().contains("/vmlinuz-"));
        Self {
            image: image.expect("a kernel"),
            modules: only_entry(&root.join("lib/modules")),
        }
    }

    /// The files of modules and of all they need, in the order in which they can be loaded.
    #[track_caller]
    pub fn modules(&self, names: &[&str]) -> Vec<PathBuf> {
        let table = fs::read_to_string(self.modules.join("modules.dep")).expect("dependencies");
        let mut order: Vec<PathBuf> = Vec::new();
        for name in names {
            let file = format!("/{name}.ko");
            let line = table
                .lines()
                .find(|line| line.split(':').next().is_some_and(|it| it.ends_with(&file)));
            let line = line.unwrap_or_else(|| panic!("{PACKAGE} has no module {name}"));
            // What has to be there first stands last.
            for path in line.replace(':', " ").split_whitespace().rev() {
                let path = self.modules.join(path);
                if !order.contains(&path) {
                    order.push(path);
                }
            }
        }
        order
    }
}

fn newest_package() -> String {
    let depends = || {
        let run = Command::new("apt-cache")
            .args(["depends", PACKAGE])
            .finish();
        let lines = run.lines();
        let named = lines.iter().find_map(|line| line.split("Depends: ").nth(1));
        named.map(str::to_owned)
    };
    depends().unwrap_or_else(|| {
        // Lists that were never fetched, or that a clean image has removed.
        Command::new("apt-get").args(["update", "-q"]).finish().ok();
        depends().unwrap_or_else(|| panic!("no package {PACKAGE} in this machine's lists"))
    })
}

fn only_entry(directory: &Path) -> PathBuf {
    let mut entries = fs::read_dir(directory).expect("a directory");
    let entry = entries.next().expect("an entry").expect("an entry");
    entry.path()
}
