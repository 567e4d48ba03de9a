//! Extended headers of pax archives (POSIX.1-2017, pax, "pax Extended Header").

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt as _;

use super::UnpackError;
use crate::sys::dir::FileTime;

/// What an extended header says about the entry after it. Keys nobody needs are left out.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Extended {
    pub(super) path: Option<Vec<u8>>,
    pub(super) link_path: Option<Vec<u8>>,
    pub(super) size: Option<u64>,
    pub(super) uid: Option<u64>,
    pub(super) gid: Option<u64>,
    pub(super) modified: Option<FileTime>,
    /// `SCHILY.xattr.KEY`, as every image builder writes them.
    pub(super) xattrs: Vec<(OsString, Vec<u8>)>,
    pub(super) sparse: SparseKeys,
}

/// GNU tar's keys for sparse files in pax archives (tar manual, "Storing Sparse Files").
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct SparseKeys {
    /// Format 1.0: the map stands at the beginning of the content.
    pub(super) map_in_content: bool,
    /// Formats 0.0 and 0.1: offset, length, offset, length, …
    pub(super) map: Vec<u64>,
    pub(super) real_size: Option<u64>,
    pub(super) name: Option<Vec<u8>>,
}

fn damaged(what: &str) -> UnpackError {
    UnpackError::Damaged(format!("extended header: {what}"))
}

/// Parses `LENGTH KEY=VALUE\n` records. Of two records with one key the later counts.
pub(super) fn parse(mut bytes: &[u8]) -> Result<Extended, UnpackError> {
    let mut extended = Extended::default();
    // Some writers pad the last block with NUL bytes and count them in.
    while !bytes.is_empty() && bytes.iter().any(|&b| b != 0) {
        let (record, rest) = record(bytes)?;
        let equals = record.iter().position(|&b| b == b'=');
        let equals = equals.ok_or_else(|| damaged("a record without ="))?;
        apply(&mut extended, &record[..equals], &record[equals + 1..])?;
        bytes = rest;
    }
    Ok(extended)
}

/// The text of the first record, and what follows it.
fn record(bytes: &[u8]) -> Result<(&[u8], &[u8]), UnpackError> {
    let space = bytes
        .iter()
        .position(|&b| b == b' ')
        .ok_or_else(|| damaged("a record without a length"))?;
    let length = usize::try_from(number(&bytes[..space])?).map_err(|_| damaged("length"))?;
    if length <= space + 1 || length > bytes.len() || bytes[length - 1] != b'\n' {
        return Err(damaged("a record's length is wrong"));
    }
    Ok((&bytes[space + 1..length - 1], &bytes[length..]))
}

fn apply(extended: &mut Extended, key: &[u8], value: &[u8]) -> Result<(), UnpackError> {
    // An empty value takes an earlier one back.
    let text = (!value.is_empty()).then(|| value.to_vec());
    let numeric = || (!value.is_empty()).then(|| number(value)).transpose();
    match key {
        b"path" => extended.path = text,
        b"linkpath" => extended.link_path = text,
        b"size" => extended.size = numeric()?,
        b"uid" => extended.uid = numeric()?,
        b"gid" => extended.gid = numeric()?,
        b"mtime" => {
            extended.modified = (!value.is_empty()).then(|| time(value)).transpose()?;
        }
        b"GNU.sparse.major" => extended.sparse.map_in_content = value == b"1",
        b"GNU.sparse.realsize" | b"GNU.sparse.size" => extended.sparse.real_size = numeric()?,
        b"GNU.sparse.name" => extended.sparse.name = text,
        b"GNU.sparse.map" => {
            let numbers = value.split(|&b| b == b',').map(number);
            extended.sparse.map = numbers.collect::<Result<_, _>>()?;
        }
        b"GNU.sparse.offset" | b"GNU.sparse.numbytes" => {
            extended.sparse.map.push(number(value)?);
        }
        key => {
            if let Some(name) = key.strip_prefix(b"SCHILY.xattr.") {
                let name = OsString::from_vec(name.to_vec());
                extended.xattrs.retain(|(earlier, _)| *earlier != name);
                extended.xattrs.push((name, value.to_vec()));
            }
        }
    }
    Ok(())
}

/// A decimal number without sign.
pub(super) fn number(digits: &[u8]) -> Result<u64, UnpackError> {
    std::str::from_utf8(digits)
        .ok()
        .filter(|text| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit()))
        .and_then(|text| text.parse().ok())
        .ok_or_else(|| damaged("a number that is none"))
}

/// Decimal seconds, maybe negative, with any number of decimal places; rounded down.
fn time(value: &[u8]) -> Result<FileTime, UnpackError> {
    let (negative, value) = match value.strip_prefix(b"-") {
        Some(rest) => (true, rest),
        None => (false, value),
    };
    let mut halves = value.splitn(2, |&b| b == b'.');
    let seconds = number(halves.next().unwrap_or_default())?;
    let seconds = i64::try_from(seconds).map_err(|_| damaged("mtime is too far away"))?;
    let mut nanoseconds = 0;
    for (place, &digit) in halves.next().unwrap_or_default().iter().enumerate() {
        if !digit.is_ascii_digit() {
            return Err(damaged("mtime is no number"));
        }
        if place < 9 {
            nanoseconds = nanoseconds * 10 + u32::from(digit - b'0');
        }
    }
    let n_places = value
        .iter()
        .position(|&b| b == b'.')
        .map_or(0, |dot| value.len() - dot - 1);
    for _ in n_places.min(9)..9 {
        nanoseconds *= 10;
    }
    Ok(match (negative, nanoseconds) {
        (false, nanoseconds) => FileTime {
            seconds,
            nanoseconds,
        },
        (true, 0) => FileTime {
            seconds: -seconds,
            nanoseconds,
        },
        (true, nanoseconds) => FileTime {
            seconds: -seconds - 1,
            nanoseconds: 1_000_000_000 - nanoseconds,
        },
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn rec(key: &str, value: &str) -> Vec<u8> {
        let body = key.len() + value.len() + 3;
        let mut length = body + 1;
        while length != body + length.to_string().len() {
            length = body + length.to_string().len();
        }
        format!("{length} {key}={value}\n").into_bytes()
    }

    #[test]
    fn the_keys_that_matter_are_read() {
        let mut bytes = Vec::new();
        for (key, value) in [
            ("path", "first"),
            ("path", "a=b\nc"),
            ("linkpath", "l"),
            ("size", "8589934592"),
            ("uid", "2147483648"),
            ("gid", "0"),
            ("mtime", "1700000000.25"),
            ("comment", "ignored"),
            ("SCHILY.xattr.user.x", "v=\n\n"),
        ] {
            bytes.extend(rec(key, value));
        }
        bytes.extend([0; 7]);
        let extended = parse(&bytes).unwrap();
        assert_eq!(extended.path.unwrap(), b"a=b\nc");
        assert_eq!(extended.size, Some(1 << 33));
        assert_eq!(extended.uid, Some(1 << 31));
        let modified = FileTime {
            seconds: 1_700_000_000,
            nanoseconds: 250_000_000,
        };
        assert_eq!(extended.modified, Some(modified));
        assert_eq!(extended.xattrs, [("user.x".into(), b"v=\n\n".to_vec())]);
    }

    #[test]
    fn an_empty_value_takes_the_key_back() {
        let bytes = [rec("path", "x"), rec("path", ""), rec("size", "")].concat();
        let extended = parse(&bytes).unwrap();
        assert_eq!((extended.path, extended.size), (None, None));
    }

    #[test]
    fn times_are_rounded_down() {
        for (text, seconds, nanoseconds) in [
            ("0", 0, 0),
            ("5.", 5, 0),
            ("5.1", 5, 100_000_000),
            ("5.1234567899", 5, 123_456_789),
            ("-1", -1, 0),
            ("-1.5", -2, 500_000_000),
            ("-0.000000001", -1, 999_999_999),
        ] {
            let expected = FileTime {
                seconds,
                nanoseconds,
            };
            assert_eq!(time(text.as_bytes()).unwrap(), expected, "{text}");
        }
    }

    #[test]
    fn damaged_records_are_refused() {
        for bytes in [
            "x",
            "5",
            "5 a=b",
            "99 a=b\n",
            "3 a=b\n",
            "0 \n",
            "7 ab\n\n\n",
            "-7 a=b\n",
            "6 a=b\n ",
            "12 size=abc\n",
            "12 size=-12\n",
            "29 size=99999999999999999999\n",
            "15 mtime=1.2x\n",
            "35 GNU.sparse.map=1,2,,3\n",
        ] {
            assert!(parse(bytes.as_bytes()).is_err(), "{bytes:?}");
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            drop(parse(&bytes));
        }

        #[test]
        fn what_is_written_is_read(path in "[a-z/]{1,120}", value in "\\PC{0,40}") {
            let bytes = [rec("path", &path), rec("SCHILY.xattr.user.k", &value)].concat();
            let extended = parse(&bytes).unwrap();
            prop_assert_eq!(extended.path.unwrap(), path.into_bytes());
            prop_assert_eq!(&extended.xattrs[0].1, value.as_bytes());
        }
    }
}
