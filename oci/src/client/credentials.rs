//! Who we are to a registry. Secrets show neither in `Debug` nor in headers that are logged.

use std::fmt;

use base64::Engine as _;
use http::HeaderValue;

/// A password or token; its `Debug` shows nothing.
#[derive(Clone, Default, PartialEq, Eq, Hash)]
pub struct Secret(String);

impl Secret {
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    pub(super) fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[secret]")
    }
}

/// What a caller shows to a registry.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub enum Credentials {
    #[default]
    None,
    Basic {
        user: String,
        password: Secret,
    },
    /// A refresh token that an earlier login got.
    IdentityToken(Secret),
    /// A bearer token, used as it is.
    RegistryToken(Secret),
}

impl Credentials {
    /// The header for HTTP's own scheme, RFC 7617; only a user with a password has one.
    pub(super) fn basic_header(&self) -> Option<HeaderValue> {
        let Self::Basic { user, password } = self else {
            return None;
        };
        let pair = format!("{user}:{}", password.expose());
        let encoded = base64::engine::general_purpose::STANDARD.encode(pair);
        sensitive(&format!("Basic {encoded}"))
    }
}

/// The header for a token, RFC 6750; `None` for a token that fits no header.
pub(super) fn bearer_header(token: &str) -> Option<HeaderValue> {
    sensitive(&format!("Bearer {token}"))
}

fn sensitive(text: &str) -> Option<HeaderValue> {
    let mut value = HeaderValue::from_str(text).ok()?;
    value.set_sensitive(true);
    Some(value)
}
