//! Digests: what names a blob, and the hash that proves it.
//!
//! Grammar and algorithms are those of the image spec, `descriptor.md#digests`. The hash is sha2:
//! with the processor's SHA instructions it is as fast as ring and aws-lc-rs (the three are within
//! 10 %), and it alone lets the state of an unfinished hash be saved. Nothing here reads or writes.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use sha2::digest::common::hazmat::SerializableState as _;
use sha2::{Digest as _, Sha256, Sha512};

/// The registered hash algorithms of the image spec.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Algorithm {
    Sha256,
    Sha512,
}

impl Algorithm {
    /// The name in front of the colon.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Sha256 => "sha256",
            Self::Sha512 => "sha512",
        }
    }

    /// Hexadecimal digits of a digest.
    fn hex_length(self) -> usize {
        match self {
            Self::Sha256 => 64,
            Self::Sha512 => 128,
        }
    }
}

impl fmt::Display for Algorithm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Algorithm {
    type Err = DigestError;

    fn from_str(text: &str) -> Result<Self, DigestError> {
        match text {
            "sha256" => Ok(Self::Sha256),
            "sha512" => Ok(Self::Sha512),
            other => Err(DigestError::UnknownAlgorithm(other.to_owned())),
        }
    }
}

/// Why a text is no digest, or a saved hash no state. Texts are shown shortened: they come from
/// outside, and an error is no place for a megabyte.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DigestError {
    #[error("digest {:?} is not ALGORITHM:HEX", shortened(.0))]
    Malformed(String),
    #[error("digest algorithm {:?} is not supported, only sha256 and sha512 are", shortened(.0))]
    UnknownAlgorithm(String),
    #[error(
        "digest {:?} does not have the lower-case hexadecimal digits of its algorithm",
        shortened(.0)
    )]
    WrongHex(String),
    #[error("the saved state of a hash is damaged")]
    DamagedState,
}

/// The beginning of a text, long enough to recognise it by.
pub(crate) fn shortened(text: &str) -> &str {
    const MAX_BYTES: usize = 160;
    &text[..text.floor_char_boundary(MAX_BYTES)]
}

/// `sha256:…` or `sha512:…`, always lower case and of the right length.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Digest {
    text: String,
    algorithm: Algorithm,
}

impl Digest {
    /// The sha256 digest of `bytes`.
    pub fn of(bytes: &[u8]) -> Self {
        Self::of_with(Algorithm::Sha256, bytes)
    }

    /// The digest of `bytes` by `algorithm`.
    pub fn of_with(algorithm: Algorithm, bytes: &[u8]) -> Self {
        let mut hasher = DigestHasher::new(algorithm);
        hasher.update(bytes);
        hasher.finish()
    }

    pub fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    /// The part after the colon.
    pub fn hex(&self) -> &str {
        &self.text[self.algorithm.as_str().len() + 1..]
    }

    /// The whole of it, `ALGORITHM:HEX`.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    fn from_hash(algorithm: Algorithm, hash: &[u8]) -> Self {
        let text = format!("{algorithm}:{}", hex::encode(hash));
        Self { text, algorithm }
    }
}

impl FromStr for Digest {
    type Err = DigestError;

    fn from_str(text: &str) -> Result<Self, DigestError> {
        let malformed = || DigestError::Malformed(text.to_owned());
        let (algorithm, hex) = text.split_once(':').ok_or_else(malformed)?;
        if algorithm.is_empty() || hex.is_empty() {
            return Err(malformed());
        }
        let algorithm: Algorithm = algorithm.parse()?;
        let lower_hex = |b: u8| b.is_ascii_digit() || (b'a'..=b'f').contains(&b);
        if hex.len() != algorithm.hex_length() || !hex.bytes().all(lower_hex) {
            return Err(DigestError::WrongHex(text.to_owned()));
        }
        Ok(Self {
            text: text.to_owned(),
            algorithm,
        })
    }
}

impl TryFrom<String> for Digest {
    type Error = DigestError;

    fn try_from(text: String) -> Result<Self, DigestError> {
        text.parse()
    }
}

impl From<Digest> for String {
    fn from(digest: Digest) -> Self {
        digest.text
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// A digest in the making. Its state can be saved between two updates and taken up elsewhere.
#[derive(Debug, Clone)]
pub struct DigestHasher(State);

#[derive(Debug, Clone)]
enum State {
    Sha256(Sha256),
    Sha512(Sha512),
}

impl DigestHasher {
    /// A hash that has seen nothing yet.
    pub fn new(algorithm: Algorithm) -> Self {
        Self(match algorithm {
            Algorithm::Sha256 => State::Sha256(Sha256::new()),
            Algorithm::Sha512 => State::Sha512(Sha512::new()),
        })
    }

    pub fn algorithm(&self) -> Algorithm {
        match self.0 {
            State::Sha256(_) => Algorithm::Sha256,
            State::Sha512(_) => Algorithm::Sha512,
        }
    }

    /// Takes the next bytes.
    pub fn update(&mut self, bytes: &[u8]) {
        match &mut self.0 {
            State::Sha256(hash) => hash.update(bytes),
            State::Sha512(hash) => hash.update(bytes),
        }
    }

    /// The digest of all that was taken.
    pub fn finish(self) -> Digest {
        match self.0 {
            State::Sha256(hash) => Digest::from_hash(Algorithm::Sha256, &hash.finalize()),
            State::Sha512(hash) => Digest::from_hash(Algorithm::Sha512, &hash.finalize()),
        }
    }

    /// The state as bytes for [`DigestHasher::from_state`] of the same algorithm.
    pub fn to_state(&self) -> Vec<u8> {
        let mut state = match &self.0 {
            State::Sha256(hash) => hash.serialize().to_vec(),
            State::Sha512(hash) => hash.serialize().to_vec(),
        };
        state.extend_from_slice(&checksum(&state));
        state
    }

    /// Goes on from what [`DigestHasher::to_state`] gave. Bytes that are no state of this
    /// algorithm, or no longer the same, are an error.
    pub fn from_state(algorithm: Algorithm, state: &[u8]) -> Result<Self, DigestError> {
        let damaged = || DigestError::DamagedState;
        let (state, sum) = state.split_last_chunk().ok_or_else(damaged)?;
        if checksum(state) != *sum {
            return Err(damaged());
        }
        Ok(Self(match algorithm {
            Algorithm::Sha256 => {
                let state = state.try_into().map_err(|_| damaged())?;
                State::Sha256(Sha256::deserialize(state).map_err(|_| damaged())?)
            }
            Algorithm::Sha512 => {
                let state = state.try_into().map_err(|_| damaged())?;
                State::Sha512(Sha512::deserialize(state).map_err(|_| damaged())?)
            }
        }))
    }
}

const CHECKSUM_BYTES: usize = 8;

/// sha2 takes every state of the right length, and panics later on the lengths in some.
fn checksum(state: &[u8]) -> [u8; CHECKSUM_BYTES] {
    let hash: [u8; 32] = Sha256::digest(state).into();
    std::array::from_fn(|at| hash[at])
}

macro_rules! digest_word {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(pub Digest);

        impl FromStr for $name {
            type Err = DigestError;

            fn from_str(text: &str) -> Result<Self, DigestError> {
                text.parse().map(Self)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }

        impl AsRef<Digest> for $name {
            fn as_ref(&self) -> &Digest {
                &self.0
            }
        }
    };
}

digest_word! {
    /// The digest of a manifest's bytes: what `name@sha256:…` means.
    ManifestDigest
}
digest_word! {
    /// The digest of an image's configuration: what engines call the image ID.
    ImageId
}
digest_word! {
    /// The digest of a layer's tar, uncompressed.
    DiffId
}
digest_word! {
    /// The digest of a stack of layers, image spec `config.md#layer-chainid`.
    ChainId
}

impl ChainId {
    /// The chain of `layers`, lowest first; `None` for no layers.
    pub fn of(layers: &[DiffId]) -> Option<Self> {
        let (first, rest) = layers.split_first()?;
        let chain = rest.iter().fold(first.0.clone(), |chain, layer| {
            Digest::of(format!("{chain} {layer}").as_bytes())
        });
        Some(Self(chain))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn errors_show_the_beginning_of_what_was_wrong() {
        let error = "ä".repeat(1 << 20).parse::<Digest>().unwrap_err();
        assert!(error.to_string().len() < 300);
    }

    proptest! {
        #[test]
        fn parsing_never_panics_and_what_parses_prints_the_same(text in "\\PC{0,140}") {
            if let Ok(digest) = text.parse::<Digest>() {
                prop_assert_eq!(digest.to_string(), text);
            }
        }

        #[test]
        fn digests_go_round(bytes: Vec<u8>, long: bool) {
            let algorithm = if long { Algorithm::Sha512 } else { Algorithm::Sha256 };
            let digest = Digest::of_with(algorithm, &bytes);
            prop_assert_eq!(digest.as_str().parse(), Ok(digest.clone()));
            let json = serde_json::to_string(&digest).unwrap();
            prop_assert_eq!(serde_json::from_str::<Digest>(&json).unwrap(), digest);
        }

        #[test]
        fn a_damaged_state_is_an_error(at in 0..10_000_usize, byte: u8, long: bool) {
            let algorithm = if long { Algorithm::Sha512 } else { Algorithm::Sha256 };
            let mut hasher = DigestHasher::new(algorithm);
            hasher.update(b"some");
            let mut state = hasher.to_state();
            let at = at % state.len();
            prop_assume!(state[at] != byte);
            state[at] = byte;
            prop_assert!(DigestHasher::from_state(algorithm, &state).is_err());
            prop_assert!(DigestHasher::from_state(algorithm, &state[..at]).is_err());
        }

        #[test]
        fn what_never_was_a_state_is_an_error(state: Vec<u8>, long: bool) {
            let algorithm = if long { Algorithm::Sha512 } else { Algorithm::Sha256 };
            prop_assert!(DigestHasher::from_state(algorithm, &state).is_err());
        }
    }

    #[test]
    fn grammar() {
        let hex = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
        assert_eq!(Digest::of(b"").to_string(), format!("sha256:{hex}"));
        assert_eq!(Digest::of(b"").hex(), hex);
        let upper = format!("sha256:{}", hex.to_uppercase());
        let short = format!("sha512:{hex}");
        for bad in [
            "",
            "sha256",
            "sha256:",
            ":",
            hex,
            &upper,
            &short,
            "md5:abc",
            "sha256:zz",
        ] {
            assert!(bad.parse::<Digest>().is_err(), "{bad}");
        }
    }

    #[test]
    fn a_saved_state_goes_on_where_it_was() {
        for algorithm in [Algorithm::Sha256, Algorithm::Sha512] {
            let bytes: Vec<u8> = (0..1000_u32).map(|i| (i % 251) as u8).collect();
            for cut in [0, 1, 63, 64, 65, 999] {
                let mut first = DigestHasher::new(algorithm);
                first.update(&bytes[..cut]);
                let mut second = DigestHasher::from_state(algorithm, &first.to_state()).unwrap();
                second.update(&bytes[cut..]);
                assert_eq!(second.finish(), Digest::of_with(algorithm, &bytes));
            }
            assert!(DigestHasher::from_state(algorithm, &[1, 2, 3]).is_err());
        }
    }

    #[test]
    fn chains_hash_the_chain_below() {
        let layers = [b"a", b"b"].map(|bytes| DiffId(Digest::of(bytes)));
        assert_eq!(ChainId::of(&[]), None);
        assert_eq!(ChainId::of(&layers[..1]).unwrap().0, layers[0].0);
        let both = Digest::of(format!("{} {}", layers[0], layers[1]).as_bytes());
        assert_eq!(ChainId::of(&layers).unwrap().0, both);
    }
}
