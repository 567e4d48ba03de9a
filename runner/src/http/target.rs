//! What a request's path says before any route is looked up: the API version in front of it, and
//! image names, which may hold any number of slashes.
//!
//! Pure text; `serve` rewrites the request with what comes out, `router` never sees a version.

use std::borrow::Cow;
use std::fmt;

use http::Method;

use super::error::ApiError;

/// A version of the Engine API, such as 1.50.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct ApiVersion {
    major: u16,
    minor: u16,
}

impl ApiVersion {
    /// The newest version spoken here, and what a path without a version means.
    pub(super) const MAX: Self = Self::new(1, 50);
    /// The oldest version that is accepted.
    pub(super) const MIN: Self = Self::new(1, 24);

    pub(super) const fn new(major: u16, minor: u16) -> Self {
        Self { major, minor }
    }

    /// `None` when the text is no version. Further dotted parts are ignored, as Docker does.
    fn parse(text: &str) -> Option<Self> {
        let mut parts = text.split('.');
        let major = parts.next()?.parse().ok()?;
        let minor = parts.next().map_or(Some(0), |part| part.parse().ok())?;
        Some(Self { major, minor })
    }
}

impl fmt::Display for ApiVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.major, self.minor)
    }
}

/// Splits `/v1.50/containers/json` into the version and the rest of the path.
pub(super) fn split_version(path: &str) -> Result<(ApiVersion, &str), ApiError> {
    let Some((text, rest)) = versioned(path) else {
        return Ok((ApiVersion::MAX, path));
    };
    let version = ApiVersion::parse(text)
        .ok_or_else(|| ApiError::bad_parameter(format!("invalid API version: {text}")))?;
    if version > ApiVersion::MAX {
        return Err(ApiError::bad_parameter(format!(
            "client version {text} is too new. Maximum supported API version is {}",
            ApiVersion::MAX
        )));
    }
    if version < ApiVersion::MIN {
        return Err(ApiError::bad_parameter(format!(
            "client version {text} is too old. Minimum supported API version is {}, please \
             upgrade your client to a newer version",
            ApiVersion::MIN
        )));
    }
    Ok((version, rest))
}

/// `/v` and then digits and dots up to the next slash.
fn versioned(path: &str) -> Option<(&str, &str)> {
    let after = path.strip_prefix("/v")?;
    let end = after.find('/')?;
    let text = &after[..end];
    let is_version = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit() || b == b'.');
    is_version.then(|| (text, &after[end..]))
}

/// Escapes the slashes inside an image name, so that the name is one segment of the path:
/// `/images/host:5000/team/app/json` becomes `/images/host:5000%2Fteam%2Fapp/json`.
pub(super) fn fold_image_name<'a>(method: &Method, path: &'a str) -> Cow<'a, str> {
    let Some(prefix) = ["/images/", "/distribution/"]
        .into_iter()
        .find(|prefix| path.starts_with(prefix))
    else {
        return without_empty_segments(path);
    };
    let rest = &path[prefix.len()..];
    // A DELETE names the image with all that follows; every other method ends in a verb.
    let (name, verb) = if *method == Method::DELETE {
        (rest, "")
    } else {
        rest.rfind('/').map_or((rest, ""), |at| rest.split_at(at))
    };
    if !name.contains('/') {
        return Cow::Borrowed(path);
    }
    Cow::Owned(format!("{prefix}{}{verb}", name.replace('/', "%2F")))
}

/// A container's name may be said with the slash that inspect shows before it, and is then
/// put into the path as it is.
fn without_empty_segments(path: &str) -> Cow<'_, str> {
    if !path.contains("//") {
        return Cow::Borrowed(path);
    }
    let mut short = String::with_capacity(path.len());
    for c in path.chars() {
        if c != '/' || !short.ends_with('/') {
            short.push(c);
        }
    }
    Cow::Owned(short)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_split_off_and_checked() {
        let cases = [
            ("/_ping", Ok(("1.50", "/_ping"))),
            ("/v1.50/_ping", Ok(("1.50", "/_ping"))),
            ("/v1.24/containers/json", Ok(("1.24", "/containers/json"))),
            ("/v1.41.2/info", Ok(("1.41", "/info"))),
            ("/volumes/v1.2", Ok(("1.50", "/volumes/v1.2"))),
            ("/volumes", Ok(("1.50", "/volumes"))),
            ("/version", Ok(("1.50", "/version"))),
            (
                "/v9.99/info",
                Err("client version 9.99 is too new. Maximum supported API version is 1.50"),
            ),
            (
                "/v1.12/info",
                Err(
                    "client version 1.12 is too old. Minimum supported API version is 1.24, \
                     please upgrade your client to a newer version",
                ),
            ),
            ("/v1.x/info", Ok(("1.50", "/v1.x/info"))),
            ("/v1.99999999/info", Err("invalid API version: 1.99999999")),
            ("/v../info", Err("invalid API version: ..")),
        ];
        for (path, expected) in cases {
            let got = split_version(path);
            let got = got.map(|(version, rest)| (version.to_string(), rest));
            match (got, expected) {
                (Ok((version, rest)), Ok(wanted)) => assert_eq!((&*version, rest), wanted),
                (Err(error), Err(wanted)) => assert_eq!(error.message, wanted),
                (got, wanted) => panic!("{path}: {got:?}, not {wanted:?}"),
            }
        }
    }

    #[test]
    fn image_names_become_one_segment() {
        let cases = [
            (Method::GET, "/images/json", "/images/json"),
            (Method::GET, "/images/a/json", "/images/a/json"),
            (
                Method::GET,
                "/images/h:5/a/b:1/json",
                "/images/h:5%2Fa%2Fb:1/json",
            ),
            (Method::POST, "/images/a/b/push", "/images/a%2Fb/push"),
            (Method::DELETE, "/images/a/b/json", "/images/a%2Fb%2Fjson"),
            (Method::DELETE, "/images/a", "/images/a"),
            (
                Method::GET,
                "/distribution/a/b/json",
                "/distribution/a%2Fb/json",
            ),
            (Method::GET, "/containers/a/json", "/containers/a/json"),
            (Method::GET, "/containers//a/json", "/containers/a/json"),
            (Method::GET, "/images/a//b/json", "/images/a%2F%2Fb/json"),
        ];
        for (method, path, folded) in cases {
            assert_eq!(fold_image_name(&method, path), folded, "{method} {path}");
        }
    }

    proptest::proptest! {
        #[test]
        fn no_path_breaks_it(path in "\\PC{0,64}") {
            let path = format!("/{path}");
            if let Ok((_, rest)) = split_version(&path) {
                proptest::prop_assert!(rest.starts_with('/'));
                fold_image_name(&Method::GET, rest);
            }
        }
    }
}
