//! Names in an archive: bytes from a stranger become a place below the layer's root.

use std::ffi::CString;
use std::fmt;

use super::UnpackError;

/// Linux refuses longer paths in one call, and so do the engines that wrote the archive.
const PATH_MAX: usize = 4096;

/// A cleaned name: no empty, `.` or `..` component, relative to the layer's root.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Place {
    /// Directory part; `None` is the root itself. Symbolic links in it are still to be resolved.
    pub(super) parent: Option<CString>,
    /// The last component, never followed.
    pub(super) name: CString,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(parent) = &self.parent {
            write!(f, "{}/", parent.to_string_lossy())?;
        }
        f.write_str(&self.name.to_string_lossy())
    }
}

/// What an entry's name asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Target {
    /// The root of the layer (`./`).
    Root,
    /// An object to make.
    Object(Place),
    /// `.wh.NAME`: lower layers' NAME disappears (image-spec, "Whiteouts").
    Whiteout(Place),
    /// `DIR/.wh..wh..opq`: lower layers' content of DIR disappears; `None` is the root.
    Opaque(Option<CString>),
    /// Other names with the aufs prefix `.wh..wh.`: bookkeeping that engines have never unpacked.
    Bookkeeping,
}

const WHITEOUT: &[u8] = b".wh.";
const AUFS: &[u8] = b".wh..wh.";
const OPAQUE: &[u8] = b".wh..wh..opq";

/// For messages only.
pub(super) fn lossy(name: &[u8]) -> String {
    String::from_utf8_lossy(name).into_owned()
}

pub(super) fn bad(name: &[u8], reason: &str) -> UnpackError {
    UnpackError::BadEntry {
        name: lossy(name),
        reason: reason.to_owned(),
    }
}

/// Cleans a name as docker does: `/x` is `x`, `a/../b` is `b`, and `../x` is an error. The cleaning
/// is lexical; links are dealt with when the parent is opened.
fn clean(name: &[u8]) -> Result<Vec<&[u8]>, UnpackError> {
    if name.len() >= PATH_MAX {
        return Err(bad(name, "the name is longer than 4095 bytes"));
    }
    let mut components: Vec<&[u8]> = Vec::new();
    for component in name.split(|&b| b == b'/') {
        match component {
            b"" | b"." => {}
            b".." => {
                if components.pop().is_none() {
                    return Err(UnpackError::Breakout { name: lossy(name) });
                }
            }
            component if component.len() > 255 => {
                return Err(bad(name, "a part of the name is longer than 255 bytes"));
            }
            component => components.push(component),
        }
    }
    Ok(components)
}

pub(super) fn c_string(name: &[u8], part: &[u8]) -> Result<CString, UnpackError> {
    CString::new(part).map_err(|_| bad(name, "it names something with a NUL byte"))
}

/// Parses the name of an entry of an archive in which every name is just a name.
pub(super) fn parse_plain(name: &[u8]) -> Result<Target, UnpackError> {
    let components = clean(name)?;
    match components.split_last() {
        None if name.is_empty() => Err(bad(name, "the name is empty")),
        None => Ok(Target::Root),
        Some((&last, parents)) => Ok(Target::Object(Place {
            parent: parent(name, parents)?,
            name: c_string(name, last)?,
        })),
    }
}

fn parent(name: &[u8], parents: &[&[u8]]) -> Result<Option<CString>, UnpackError> {
    match parents {
        [] => Ok(None),
        parents => Ok(Some(c_string(name, &parents.join(&b'/'))?)),
    }
}

/// Parses the name of an entry of a layer.
pub(super) fn parse(name: &[u8]) -> Result<Target, UnpackError> {
    let components = clean(name)?;
    let Some((&last, parents)) = components.split_last() else {
        return if name.is_empty() {
            Err(bad(name, "the name is empty"))
        } else {
            Ok(Target::Root)
        };
    };
    let parent = parent(name, parents)?;
    let is_bookkeeping = |part: &&[u8]| part.starts_with(AUFS);
    if parents.iter().any(is_bookkeeping) || (is_bookkeeping(&last) && last != OPAQUE) {
        return Ok(Target::Bookkeeping);
    }
    if last == OPAQUE {
        return Ok(Target::Opaque(parent));
    }
    if let Some(hidden) = last.strip_prefix(WHITEOUT) {
        if matches!(hidden, b"" | b"." | b"..") {
            return Err(bad(name, "the whiteout hides nothing"));
        }
        let name = c_string(name, hidden)?;
        return Ok(Target::Whiteout(Place { parent, name }));
    }
    let name = c_string(name, last)?;
    Ok(Target::Object(Place { parent, name }))
}

/// Parses the target of a hard link, which names an earlier entry of the same archive.
pub(super) fn parse_hard_link(entry: &[u8], target: &[u8]) -> Result<Place, UnpackError> {
    match parse(target)? {
        Target::Object(place) => Ok(place),
        Target::Root | Target::Whiteout(_) | Target::Opaque(_) | Target::Bookkeeping => {
            Err(bad(entry, "the hard link's target is no file"))
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn place(parent: &str, name: &str) -> Place {
        Place {
            parent: (!parent.is_empty()).then(|| CString::new(parent).unwrap()),
            name: CString::new(name).unwrap(),
        }
    }

    #[test]
    fn names_are_cleaned_as_docker_cleans_them() {
        let object = |parent, name| Target::Object(place(parent, name));
        let table = [
            ("a", object("", "a")),
            ("./a/b", object("a", "b")),
            ("/etc/passwd", object("etc", "passwd")),
            ("a//b/./c/", object("a/b", "c")),
            ("a/../b", object("", "b")),
            ("a/b/../../c", object("", "c")),
            ("...", object("", "...")),
            ("./", Target::Root),
            ("/", Target::Root),
            ("a/..", Target::Root),
            (".wh.x", Target::Whiteout(place("", "x"))),
            ("d/.wh.x y", Target::Whiteout(place("d", "x y"))),
            (".wh..wh..opq", Target::Opaque(None)),
            ("d/.wh..wh..opq", Target::Opaque(Some(c"d".to_owned()))),
            (".wh..wh.plnk", Target::Bookkeeping),
            (".wh..wh.plnk/1.2", Target::Bookkeeping),
            (".wh..wh.aufs", Target::Bookkeeping),
            ("d.wh.x", object("", "d.wh.x")),
            (".wh..hidden", Target::Whiteout(place("", ".hidden"))),
        ];
        for (name, expected) in table {
            assert_eq!(parse(name.as_bytes()).unwrap(), expected, "{name}");
        }
    }

    #[test]
    fn plain_names_know_no_whiteouts() {
        for (name, expected) in [
            ("d/.wh.x", Target::Object(place("d", ".wh.x"))),
            (".wh..wh..opq", Target::Object(place("", ".wh..wh..opq"))),
            ("/a/../b", Target::Object(place("", "b"))),
            ("./", Target::Root),
        ] {
            assert_eq!(parse_plain(name.as_bytes()).unwrap(), expected, "{name}");
        }
        for name in ["", "../x", "a/../../x", "a\0b"] {
            assert!(parse_plain(name.as_bytes()).is_err(), "{name}");
        }
    }

    #[test]
    fn names_that_mean_nothing_good_are_refused() {
        let long = "x".repeat(256);
        let deep = "d/".repeat(2048);
        for name in ["..", "../x", "a/../../x", "/../x", "./.."] {
            let refused = parse(name.as_bytes());
            assert!(
                matches!(refused, Err(UnpackError::Breakout { .. })),
                "{name}"
            );
        }
        for name in ["", "a\0b", "a\0/b", ".wh.", ".wh..", ".wh...", &long, &deep] {
            let refused = parse(name.as_bytes());
            assert!(
                matches!(refused, Err(UnpackError::BadEntry { .. })),
                "{name}"
            );
        }
    }

    proptest! {
        #[test]
        fn whatever_is_accepted_stays_below_the_root(name in proptest::collection::vec(any::<u8>(), 0..64)) {
            if let Ok(Target::Object(place) | Target::Whiteout(place)) = parse(&name) {
                prop_assert!(!place.name.to_bytes().contains(&b'/'));
                prop_assert!(!matches!(place.name.to_bytes(), b"" | b"." | b".."));
                for part in place.parent.iter().flat_map(|p| p.to_bytes().split(|&b| b == b'/')) {
                    prop_assert!(!matches!(part, b"" | b"." | b".."));
                }
            }
        }
    }
}
