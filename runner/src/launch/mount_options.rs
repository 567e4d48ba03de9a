//! Options of a mount as the runtime specification writes them: those of mount(8).

use crate::sys::mount::{Attributes, Change, PropagationType};

/// What the options of one mount mean.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct MountOptions {
    /// For the mount itself.
    pub(super) change: Change,
    /// For it and all mounts below it (`rro` and the like).
    pub(super) recursive: Change,
    /// `Some(recursive)` for a bind mount.
    pub(super) bind: Option<bool>,
    /// The last one counts.
    pub(super) propagation: Option<(PropagationType, bool)>,
    /// Fill a tmpfs with what it covers.
    pub(super) copy_up: bool,
    /// Map the owners of files; `Some(true)` also of mounts below.
    pub(super) id_map: Option<bool>,
    /// For the file system: `key` or `key=value`.
    pub(super) data: Vec<(String, Option<String>)>,
}

impl MountOptions {
    pub(super) fn parse(options: &[String]) -> Self {
        let mut parsed = Self::default();
        for option in options {
            parsed.add(option);
        }
        parsed
    }

    fn add(&mut self, option: &str) {
        if let Some(propagation) = propagation(option) {
            self.propagation = Some(propagation);
            return;
        }
        if let Some((attributes, on)) = flag(option) {
            switch(&mut self.change, attributes, on);
            return;
        }
        let recursive = option.strip_prefix('r').and_then(flag);
        if let Some((attributes, on)) = recursive {
            switch(&mut self.recursive, attributes, on);
            return;
        }
        match option {
            "bind" => self.bind = Some(self.bind.unwrap_or(false)),
            "rbind" => self.bind = Some(true),
            "tmpcopyup" => self.copy_up = true,
            "idmap" => self.id_map = Some(false),
            "ridmap" => self.id_map = Some(true),
            // What a mount is anyway, and what only mount(8) itself reads.
            "" | "defaults" | "relatime" | "remount" | "newinstance" | "nofail" | "user"
            | "nouser" | "auto" | "noauto" | "async" | "loud" => {}
            other => {
                let pair = match other.split_once('=') {
                    Some((key, value)) => (key.to_owned(), Some(value.to_owned())),
                    None => (other.to_owned(), None),
                };
                self.data.push(pair);
            }
        }
    }

    /// Whether something has to be changed that the mount has not been made with.
    pub(super) fn changes_anything(change: &Change) -> bool {
        !change.set.is_empty() || !change.clear.is_empty()
    }
}

fn switch(change: &mut Change, attributes: Attributes, on: bool) {
    if on {
        change.set = change.set.with(attributes);
        change.clear = change.clear.without(attributes);
    } else {
        change.set = change.set.without(attributes);
        change.clear = change.clear.with(attributes);
    }
}

/// The attribute a word stands for, and whether it is switched on.
fn flag(option: &str) -> Option<(Attributes, bool)> {
    Some(match option {
        "ro" => (Attributes::READ_ONLY, true),
        "rw" => (Attributes::READ_ONLY, false),
        "nosuid" => (Attributes::NO_SUID, true),
        "suid" => (Attributes::NO_SUID, false),
        "nodev" => (Attributes::NO_DEV, true),
        "dev" => (Attributes::NO_DEV, false),
        "noexec" => (Attributes::NO_EXEC, true),
        "exec" => (Attributes::NO_EXEC, false),
        "nodiratime" => (Attributes::NO_DIR_ATIME, true),
        "diratime" => (Attributes::NO_DIR_ATIME, false),
        "nosymfollow" => (Attributes::NO_SYMLINK_FOLLOW, true),
        "symfollow" => (Attributes::NO_SYMLINK_FOLLOW, false),
        "noatime" => (Attributes::NO_ATIME, true),
        "strictatime" => (Attributes::STRICT_ATIME, true),
        "atime" | "nostrictatime" => (Attributes::ATIME_MODE, false),
        _ => return None,
    })
}

fn propagation(option: &str) -> Option<(PropagationType, bool)> {
    Some(match option {
        "private" => (PropagationType::Private, false),
        "rprivate" => (PropagationType::Private, true),
        "shared" => (PropagationType::Shared, false),
        "rshared" => (PropagationType::Shared, true),
        "slave" => (PropagationType::Slave, false),
        "rslave" => (PropagationType::Slave, true),
        "unbindable" => (PropagationType::Unbindable, false),
        "runbindable" => (PropagationType::Unbindable, true),
        _ => return None,
    })
}

/// The type and reach of `linux.rootfsPropagation` and the like.
pub(super) fn parse_propagation(word: &str) -> Option<(PropagationType, bool)> {
    propagation(word)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn parse(words: &[&str]) -> MountOptions {
        let owned: Vec<String> = words.iter().map(ToString::to_string).collect();
        MountOptions::parse(&owned)
    }

    #[test]
    fn words_are_sorted_into_their_places() {
        let options = parse(&[
            "rbind",
            "ro",
            "rslave",
            "rnosuid",
            "size=64k",
            "nr_inodes=5",
        ]);
        assert_eq!(options.bind, Some(true));
        assert_eq!(options.change.set, Attributes::READ_ONLY);
        assert_eq!(options.recursive.set, Attributes::NO_SUID);
        assert_eq!(options.propagation, Some((PropagationType::Slave, true)));
        let size = ("size".to_owned(), Some("64k".to_owned()));
        assert_eq!(options.data[0], size);
    }

    #[test]
    fn the_last_word_wins() {
        let options = parse(&["ro", "rw", "noexec", "rro"]);
        assert_eq!(options.change.set, Attributes::NO_EXEC);
        assert_eq!(options.change.clear, Attributes::READ_ONLY);
        assert_eq!(options.recursive.set, Attributes::READ_ONLY);
        assert!(parse(&["relatime", "newinstance"]) == MountOptions::default());
    }

    proptest! {
        #[test]
        fn no_word_panics(words in proptest::collection::vec(".{0,20}", 0..5)) {
            let _options = MountOptions::parse(&words);
        }
    }
}
