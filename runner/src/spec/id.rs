//! The three ways to say which container is meant, and the id of an exec.

use std::fmt;
use std::str::FromStr;

use rand::RngCore as _;
use serde::{Deserialize, Serialize};

/// Why a string is no identifier.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum IdError {
    #[error("{0:?} is not 64 lower-case hexadecimal digits")]
    NotAnId(String),
    #[error("Invalid container name ({0}), only [a-zA-Z0-9][a-zA-Z0-9_.-] are allowed")]
    NotAName(String),
}

/// 256 random bits in lower-case hexadecimal.
fn random_hex() -> String {
    let mut bytes = [0_u8; 32];
    rand::rng().fill_bytes(&mut bytes);
    hex::encode(bytes)
}

fn check_hex(text: &str) -> Result<(), IdError> {
    let lower_hex = |b: u8| b.is_ascii_digit() || (b'a'..=b'f').contains(&b);
    if text.len() == 64 && text.bytes().all(lower_hex) {
        Ok(())
    } else {
        Err(IdError::NotAnId(text.to_owned()))
    }
}

macro_rules! hex_id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(String);

        impl $name {
            /// A new identifier that nothing else has.
            pub fn random() -> Self {
                Self(random_hex())
            }

            pub fn as_str(&self) -> &str {
                &self.0
            }

            /// The first twelve digits, as tables show it.
            pub fn short(&self) -> &str {
                &self.0[..12]
            }
        }

        impl FromStr for $name {
            type Err = IdError;

            fn from_str(text: &str) -> Result<Self, IdError> {
                check_hex(text)?;
                Ok(Self(text.to_owned()))
            }
        }

        impl TryFrom<String> for $name {
            type Error = IdError;

            fn try_from(text: String) -> Result<Self, IdError> {
                check_hex(&text)?;
                Ok(Self(text))
            }
        }

        impl From<$name> for String {
            fn from(id: $name) -> Self {
                id.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

hex_id! {
    /// A container, for ever: 64 hexadecimal digits.
    ContainerId
}
hex_id! {
    /// One command run inside a running container.
    ExecId
}
hex_id! {
    /// A network, for ever.
    NetworkId
}
hex_id! {
    /// One container's place on one network, from connect to disconnect.
    EndpointId
}

/// The name people give a container, without the leading slash of the API.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ContainerName(String);

impl ContainerName {
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for ContainerName {
    type Err = IdError;

    /// Takes the name with or without its leading slash.
    fn from_str(text: &str) -> Result<Self, IdError> {
        let name = text.strip_prefix('/').unwrap_or(text);
        let inner = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'.' | b'-');
        let bytes = name.as_bytes();
        if bytes.len() >= 2 && bytes[0].is_ascii_alphanumeric() && bytes.iter().all(|&b| inner(b)) {
            Ok(Self(name.to_owned()))
        } else {
            Err(IdError::NotAName(text.to_owned()))
        }
    }
}

impl TryFrom<String> for ContainerName {
    type Error = IdError;

    fn try_from(text: String) -> Result<Self, IdError> {
        text.parse()
    }
}

impl From<ContainerName> for String {
    fn from(name: ContainerName) -> Self {
        name.0
    }
}

impl fmt::Display for ContainerName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What a caller wrote to say which container: an id, the start of one, or a name.
///
/// Only the engine, which knows every container, can say which of them it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ContainerRef(String);

impl ContainerRef {
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ContainerRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_follow_dockers_rule() {
        for good in ["ab", "/web", "a.b-c_d", "0x"] {
            assert!(good.parse::<ContainerName>().is_ok(), "{good}");
        }
        for bad in ["", "a", "/", "-ab", "a b", "a/b", ".ab", "ä1"] {
            assert!(bad.parse::<ContainerName>().is_err(), "{bad}");
        }
    }

    #[test]
    fn ids_are_64_lower_case_digits_and_differ() {
        let id = ContainerId::random();
        assert_eq!(id.as_str().parse(), Ok(id.clone()));
        assert_ne!(id, ContainerId::random());
        assert!("A".repeat(64).parse::<ContainerId>().is_err());
        assert!("a".repeat(63).parse::<ContainerId>().is_err());
    }
}
