//! Where the agent listens: a unix socket, or TCP on a trusted network.

use std::fmt;
use std::path::PathBuf;

use thiserror::Error;

/// The socket of `hythe up` and `hythe agent` unless told otherwise.
pub(crate) const DEFAULT_SOCKET: &str = "/run/hythe/hythe.sock";

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Address {
    Unix(PathBuf),
    /// `host:port`, without TLS.
    Tcp {
        authority: String,
    },
}

#[derive(Debug, Error, PartialEq, Eq)]
pub(crate) enum AddressError {
    #[error("\"{0}\" is not an address of an agent: use unix:///path or tcp://host:port")]
    Malformed(String),
    #[error("\"{address}\": {scheme} connections are not supported, use unix:// or tcp://")]
    Scheme { address: String, scheme: String },
    #[error("DOCKER_TLS_VERIFY is set, but this client has no TLS: use the agent's unix socket")]
    Tls,
}

impl Address {
    /// The address said on the command line, else `HYTHE_HOST`, else `DOCKER_HOST`, else the
    /// default socket. Empty variables count as unset, as with docker.
    ///
    /// `variable` reads the environment; it is a parameter so that tests need not change it.
    pub(crate) fn resolve(
        said: Option<&str>,
        variable: impl Fn(&str) -> Option<String>,
    ) -> Result<Self, AddressError> {
        let set = |name: &str| variable(name).filter(|value| !value.is_empty());
        let text = said
            .map(str::to_owned)
            .or_else(|| set("HYTHE_HOST"))
            .or_else(|| set("DOCKER_HOST"));
        let address = match text {
            Some(text) => Self::parse(&text)?,
            None => Self::Unix(PathBuf::from(DEFAULT_SOCKET)),
        };
        // Speaking plain text to somebody who asked for verified TLS would be worse than failing.
        if matches!(address, Self::Tcp { .. }) && set("DOCKER_TLS_VERIFY").is_some() {
            return Err(AddressError::Tls);
        }
        Ok(address)
    }

    fn parse(text: &str) -> Result<Self, AddressError> {
        let malformed = || AddressError::Malformed(text.to_owned());
        let (scheme, rest) = text.split_once("://").ok_or_else(malformed)?;
        match scheme {
            "unix" if rest.starts_with('/') => Ok(Self::Unix(PathBuf::from(rest))),
            "unix" => Err(malformed()),
            "tcp" | "http" => {
                let authority = rest.trim_end_matches('/');
                let (host, port) = authority.rsplit_once(':').ok_or_else(malformed)?;
                if host.is_empty() || port.parse::<u16>().is_err() {
                    return Err(malformed());
                }
                Ok(Self::Tcp {
                    authority: authority.to_owned(),
                })
            }
            other => Err(AddressError::Scheme {
                address: text.to_owned(),
                scheme: other.to_owned(),
            }),
        }
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unix(path) => write!(f, "unix://{}", path.display()),
            Self::Tcp { authority } => write!(f, "tcp://{authority}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_word_wins() {
        let environment = |name: &str| match name {
            "HYTHE_HOST" => Some("unix:///hythe".to_owned()),
            "DOCKER_HOST" => Some("unix:///docker".to_owned()),
            _ => None,
        };
        let docker_only =
            |name: &str| (name == "DOCKER_HOST").then(|| "tcp://10.0.0.1:2375".to_owned());
        let empty = |_: &str| Some(String::new());
        let cases = [
            (
                Address::resolve(Some("unix:///said"), environment),
                "unix:///said",
            ),
            (Address::resolve(None, environment), "unix:///hythe"),
            (Address::resolve(None, docker_only), "tcp://10.0.0.1:2375"),
            (
                Address::resolve(None, empty),
                "unix:///run/hythe/hythe.sock",
            ),
        ];
        for (address, expected) in cases {
            assert_eq!(address.unwrap().to_string(), expected);
        }
    }

    #[test]
    fn what_is_no_address_is_refused() {
        for text in [
            "",
            "/run/x.sock",
            "unix://relative",
            "tcp://host",
            "tcp://:1",
            "tcp://h:99999",
        ] {
            assert!(
                matches!(Address::parse(text), Err(AddressError::Malformed(_))),
                "{text}"
            );
        }
        assert!(matches!(
            Address::parse("ssh://host"),
            Err(AddressError::Scheme { .. })
        ));
    }

    #[test]
    fn tls_that_was_asked_for_is_not_left_out() {
        let environment = |name: &str| match name {
            "DOCKER_HOST" => Some("tcp://10.0.0.1:2376".to_owned()),
            "DOCKER_TLS_VERIFY" => Some("1".to_owned()),
            _ => None,
        };
        assert_eq!(Address::resolve(None, environment), Err(AddressError::Tls));
    }
}
