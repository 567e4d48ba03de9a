//! `--tmpfs target:options`, a map from target to options on the wire.

use super::checked_target;
use crate::http::Result;
use crate::http::convert::bad;
use crate::http::convert::sizes::{parse_size, print_size};
use crate::spec::{MountForm, MountSource, MountSpec, Submounts};

pub(super) fn tmpfs(target: &str, text: &str) -> Result<MountSpec> {
    let target = checked_target(target)?;
    let (mut size_bytes, mut mode, mut read_only) = (None, None, false);
    let mut options = Vec::new();
    for word in text.split(',').filter(|word| !word.is_empty()) {
        match word.split_once('=') {
            // A share of the memory (`50%`) is for the kernel to compute.
            Some(("size", size)) if !size.ends_with('%') => match parse_size(size) {
                Some(bytes) => size_bytes = Some(bytes),
                None => return bad(format!("invalid tmpfs option {word:?}")),
            },
            Some(("mode", octal)) => match u32::from_str_radix(octal, 8) {
                Ok(bits) if bits <= 0o7777 => mode = Some(bits),
                _ => return bad(format!("invalid tmpfs option {word:?}")),
            },
            None if matches!(word, "ro" | "rw") => read_only = word == "ro",
            _ => options.push(word.to_owned()),
        }
    }
    Ok(MountSpec {
        source: MountSource::Tmpfs {
            size_bytes,
            mode,
            options,
        },
        target,
        read_only,
        propagation: None,
        submounts: Submounts::Follow,
        form: MountForm::Short,
    })
}

pub(super) fn tmpfs_text(mount: &MountSpec) -> String {
    let MountSource::Tmpfs {
        size_bytes,
        mode,
        options,
    } = &mount.source
    else {
        return String::new();
    };
    let mut words = Vec::new();
    if mount.read_only {
        words.push("ro".to_owned());
    }
    words.extend(options.iter().cloned());
    words.extend(size_bytes.map(|size| format!("size={}", print_size(size))));
    words.extend(mode.map(|mode| format!("mode={mode:o}")));
    words.join(",")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tmpfs_options_are_sorted_out() {
        let mount = tmpfs("/run", "rw,noexec,size=64k,mode=1770,uid=5").unwrap();
        let expected = MountSource::Tmpfs {
            size_bytes: Some(65_536),
            mode: Some(0o1770),
            options: vec!["noexec".to_owned(), "uid=5".to_owned()],
        };
        assert_eq!(mount.source, expected);
        assert_eq!(tmpfs_text(&mount), "noexec,uid=5,size=64k,mode=1770");
        assert_eq!(
            tmpfs_text(&tmpfs("/x", "ro,size=50%").unwrap()),
            "ro,size=50%"
        );
        for (target, options) in [("run", ""), ("/", ""), ("/r", "size=x"), ("/r", "mode=9")] {
            assert!(tmpfs(target, options).is_err(), "{target} {options}");
        }
    }

    proptest::proptest! {
        #[test]
        fn any_text_is_read_or_refused(text in "\\PC{0,32}") {
            drop(tmpfs("/t", &text));
        }
    }
}
