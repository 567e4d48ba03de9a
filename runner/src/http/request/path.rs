//! What the path of a request says: a name, and the version that stood in front.

use axum::extract::{FromRequestParts, Path};
use http::request::Parts;

use crate::http::error::ApiError;
use crate::http::target::ApiVersion;

/// The one name in the path: of a container, an exec, an image, a volume or a network.
#[derive(Debug)]
pub(crate) struct Name(pub(crate) String);

impl<S: Send + Sync> FromRequestParts<S> for Name {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        let path = Path::<String>::from_request_parts(parts, state).await;
        let Path(name) = path.map_err(|error| ApiError::bad_parameter(error.body_text()))?;
        Ok(Self(name))
    }
}

/// The version the client speaks.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Version(pub(crate) ApiVersion);

impl<S: Send + Sync> FromRequestParts<S> for Version {
    type Rejection = std::convert::Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Self::Rejection> {
        Ok(Self(
            parts.extensions.get().copied().unwrap_or(ApiVersion::MAX),
        ))
    }
}
