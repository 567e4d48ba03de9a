//! Paths as people write them.

use std::path::{Component, Path, PathBuf};

/// The path without `.`, `..`, doubled and leading slashes, as it is seen from `/`. Text only:
/// nothing is looked up, and no `..` leads above the root.
pub fn clean(path: &Path) -> PathBuf {
    let mut clean = PathBuf::new();
    for component in path.components() {
        match component {
            Component::Normal(name) => clean.push(name),
            Component::ParentDir => {
                clean.pop();
            }
            Component::RootDir | Component::CurDir | Component::Prefix(_) => {}
        }
    }
    clean
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_leads_above_the_root() {
        for (path, expected) in [
            ("/a/./b//c/", "a/b/c"),
            ("../../a/../b", "b"),
            ("/", ""),
            ("", ""),
        ] {
            assert_eq!(clean(Path::new(path)), Path::new(expected), "{path}");
        }
    }
}
