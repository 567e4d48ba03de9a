//! Platforms that callers name, and those that images have.
//!
//! An image here has one platform: whoever asks for another one of it is told so.

use hythe_oci::Platform;
use serde_json::Value;

use crate::engine::{Engine, EngineError};

impl Engine {
    /// Refuses platforms that a local image does not have.
    pub fn check_platforms<'a>(
        &self,
        image: &str,
        wanted: impl IntoIterator<Item = &'a str>,
    ) -> Result<(), EngineError> {
        for text in wanted {
            let platform = parse(text)?;
            let found = self.resolve_image(image)?;
            if !found.config.platform.satisfies(&platform) {
                return Err(EngineError::NotFound(format!(
                    "image with reference {image} was found but does not provide the specified \
                     platform ({platform}), only {}",
                    found.config.platform
                )));
            }
        }
        Ok(())
    }
}

/// `linux/arm64`, or the JSON object that newer clients send.
pub(super) fn parse(text: &str) -> Result<Platform, EngineError> {
    let bad = || EngineError::InvalidParameter(format!("unknown platform {text:?}"));
    if !text.starts_with('{') {
        return Platform::parse(text).ok_or_else(bad);
    }
    let object: Value = serde_json::from_str(text).map_err(|_| bad())?;
    let part = |key: &str| object.get(key).and_then(Value::as_str).unwrap_or_default();
    let parts = [part("os"), part("architecture"), part("variant")];
    let parts: Vec<&str> = parts.into_iter().filter(|part| !part.is_empty()).collect();
    if parts.iter().any(|part| part.contains('/')) {
        return Err(bad());
    }
    Platform::parse(&parts.join("/")).ok_or_else(bad)
}

/// What may be given, and may be empty.
pub(super) fn parse_given(text: Option<&str>) -> Result<Option<Platform>, EngineError> {
    text.filter(|text| !text.is_empty()).map(parse).transpose()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn platforms_come_as_words_or_json() {
        let arm = Platform::parse("linux/arm64").unwrap();
        for text in [
            "linux/arm64",
            r#"{"os":"linux","architecture":"arm64"}"#,
            r#"{"os":"linux","architecture":"arm64","variant":""}"#,
            r#"{"architecture":"arm64","os":"linux","variant":"v8"}"#,
        ] {
            assert_eq!(parse(text).unwrap(), arm, "{text}");
        }
        for text in ["", "a/b/c/d", "{", "{}", "[]", r#"{"os":"lin/ux"}"#] {
            assert!(parse(text).is_err(), "{text}");
        }
    }
}
