//! The whole layout of the store, whichever kind it is.
//!
//! ```text
//! <root>
//! ├── blobs/
//! │   └── <2 hex>/         the first two digits of the key's last part
//! │       └── <uuid>       one segment of a blob or of an upload: written
//! │                        once, never changed, its key never used again; on
//! │                        disk a small one is written in place, under a key
//! │                        that no row names yet
//! ├── multipart/           not on disk: uploads of large segments under way
//! │   └── <uuid>           the store's id of the upload of blobs/<2 hex>/<uuid>
//! ├── staging/             on disk only: segments being written, gone
//! │   └── <uuid>           after a restart
//! ├── .lock                on disk only: held by the process that serves
//! └── .probe/              never exists; listed to see whether the store
//!                          answers
//! ```

/// The folder of every finished segment.
pub(super) const BLOBS: &str = "blobs";
/// The folder of markers of uploads under way, not on disk.
pub(super) const MULTIPART: &str = "multipart";
/// The folder of segments being written, on disk.
pub(super) const STAGING: &str = "staging";
/// The file whose lock says that a process serves from here, on disk.
pub(super) const LOCK: &str = ".lock";
/// A folder that is always empty.
pub(super) const PROBE: &str = ".probe";

/// A key that nothing used before.
pub(super) fn fresh() -> String {
    let id = uuid::Uuid::new_v4().simple().to_string();
    let (fan_out, _) = id.split_at(2);
    format!("{BLOBS}/{fan_out}/{id}")
}

/// Where the marker of a segment's upload lies.
pub(super) fn marker_of(key: &str) -> String {
    let id = key.rsplit('/').next().unwrap_or(key);
    format!("{MULTIPART}/{id}")
}

/// The segment whose upload a marker names; `None` for what is no marker.
pub(super) fn of_marker(marker: &str) -> Option<String> {
    let id = marker.strip_prefix(MULTIPART)?.strip_prefix('/')?;
    let fan_out = id.get(..2)?;
    (id.len() == 32).then(|| format!("{BLOBS}/{fan_out}/{id}"))
}

/// Every folder that a segment's key can lead to.
pub(super) fn fan_out() -> impl Iterator<Item = String> {
    (0..=u8::MAX).map(|byte| format!("{BLOBS}/{byte:02x}"))
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    #[test]
    fn a_marker_names_its_segment() {
        let key = super::fresh();
        let marker = super::marker_of(&key);
        assert_eq!(super::of_marker(&marker), Some(key));
        assert_eq!(super::of_marker("multipart/note.txt"), None);
    }

    #[test]
    fn fresh_keys_lie_in_the_prepared_folders() {
        let folders: HashSet<String> = super::fan_out().collect();
        assert_eq!(folders.len(), 256);
        for _ in 0..64 {
            let key = super::fresh();
            let (folder, id) = key.rsplit_once('/').unwrap();
            assert!(folders.contains(folder), "{key}");
            assert_eq!(id.len(), 32);
        }
    }
}
