//! Messages of the kernel's netfilter subsystems: `linux/netfilter/nfnetlink.h`, netlink(7).
//!
//! Pure: bytes to parts and back. What the parts mean is known where they are used.

/// Bytes before the attributes: `struct nlmsghdr` and `struct nfgenmsg`.
const HEADER_LENGTH: usize = 16 + 4;
const ALIGNMENT: usize = 4;
/// The upper two bits of an attribute's type are flags.
const TYPE_MASK: u16 = 0x3fff;

/// One message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Message<'a> {
    /// Subsystem in the upper byte, the subsystem's message type in the lower.
    pub(super) kind: u16,
    /// Address family, such as `AF_INET`.
    pub(super) family: u8,
    pub(super) attributes: &'a [u8],
}

/// The messages in what one read gave; ends at the first that is cut short.
pub(super) fn messages(mut bytes: &[u8]) -> impl Iterator<Item = Message<'_>> {
    std::iter::from_fn(move || {
        let length = usize::try_from(u32::from_ne_bytes(*bytes.first_chunk()?)).ok()?;
        let kind = u16::from_ne_bytes([*bytes.get(4)?, *bytes.get(5)?]);
        if length < ALIGNMENT * 4 || length > bytes.len() {
            return None;
        }
        let (message, _) = bytes.split_at(length);
        bytes = bytes.get(aligned(length)..).unwrap_or_default();
        Some(Message {
            kind,
            family: message.get(16).copied().unwrap_or_default(),
            attributes: message.get(HEADER_LENGTH..).unwrap_or_default(),
        })
    })
}

/// The first attribute of that type.
pub(super) fn attribute(mut bytes: &[u8], wanted: u16) -> Option<&[u8]> {
    loop {
        let length = usize::from(u16::from_ne_bytes(*bytes.first_chunk()?));
        let kind = u16::from_ne_bytes([*bytes.get(2)?, *bytes.get(3)?]) & TYPE_MASK;
        let payload = bytes.get(ALIGNMENT..length)?;
        if kind == wanted {
            return Some(payload);
        }
        bytes = bytes.get(aligned(length)..)?;
    }
}

/// A text attribute, without its terminating zero.
pub(super) fn text(bytes: &[u8], wanted: u16) -> Option<&str> {
    let payload = attribute(bytes, wanted)?;
    let text = payload.strip_suffix(&[0]).unwrap_or(payload);
    std::str::from_utf8(text).ok()
}

/// A request with `NLM_F_REQUEST` and `flags`.
pub(super) fn request(kind: u16, flags: u16, family: u8, attributes: &[(u16, &[u8])]) -> Vec<u8> {
    const NLM_F_REQUEST: u16 = 1;
    let mut bytes = vec![0; HEADER_LENGTH];
    for &(kind, payload) in attributes {
        let length = u16::try_from(ALIGNMENT + payload.len()).unwrap_or(u16::MAX);
        bytes.extend_from_slice(&length.to_ne_bytes());
        bytes.extend_from_slice(&kind.to_ne_bytes());
        bytes.extend_from_slice(payload);
        bytes.resize(aligned(bytes.len()), 0);
    }
    let length = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
    bytes[..4].copy_from_slice(&length.to_ne_bytes());
    bytes[4..6].copy_from_slice(&kind.to_ne_bytes());
    bytes[6..8].copy_from_slice(&(flags | NLM_F_REQUEST).to_ne_bytes());
    bytes[16] = family;
    bytes
}

fn aligned(length: usize) -> usize {
    length.next_multiple_of(ALIGNMENT)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_is_written_is_read() {
        let mut bytes = request(0x0a02, 0, 2, &[(1, b"hythe\0"), (7, &[1, 2, 3, 4])]);
        bytes.extend(request(0x0100, 0, 10, &[]));
        let found: Vec<Message<'_>> = messages(&bytes).collect();
        assert_eq!(found.len(), 2);
        assert_eq!((found[0].kind, found[0].family), (0x0a02, 2));
        assert_eq!(text(found[0].attributes, 1), Some("hythe"));
        assert_eq!(attribute(found[0].attributes, 7), Some(&[1, 2, 3, 4][..]));
        assert_eq!(attribute(found[0].attributes, 9), None);
        assert_eq!((found[1].kind, found[1].family), (0x0100, 10));
    }

    proptest! {
        #[test]
        fn any_bytes_come_to_an_end(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            for message in messages(&bytes) {
                for wanted in 0..8 {
                    let found = attribute(message.attributes, wanted);
                    prop_assert!(found.is_none_or(|found| found.len() <= bytes.len()));
                }
            }
        }
    }
}
