//! The query of a request, with the forgiving rules of Docker's Go server.

use axum::extract::FromRequestParts;
use http::request::Parts;
use jiff::{SignedDuration, Timestamp};
use serde_json::Value;

use crate::engine::Filters;
use crate::http::error::ApiError;

/// Keys and values, decoded, in the order they came. Of a repeated key the first counts.
#[derive(Debug, Clone, Default)]
pub(crate) struct Query(Vec<(String, String)>);

impl Query {
    pub(crate) fn parse(raw: &str) -> Self {
        Self(
            url::form_urlencoded::parse(raw.as_bytes())
                .into_owned()
                .collect(),
        )
    }

    /// The value of a key; empty when it was not given.
    pub(crate) fn text(&self, key: &str) -> &str {
        self.0
            .iter()
            .find(|(name, _)| name == key)
            .map_or("", |(_, value)| value)
    }

    /// The value of a key, unless it is missing or empty.
    pub(crate) fn given(&self, key: &str) -> Option<&str> {
        Some(self.text(key)).filter(|value| !value.is_empty())
    }

    /// The values of a key that may be repeated.
    pub(crate) fn all<'a>(&'a self, key: &'a str) -> impl Iterator<Item = &'a str> {
        self.0
            .iter()
            .filter(move |(name, _)| name == key)
            .map(|(_, value)| value.as_str())
    }

    /// False for a missing key, an empty value, `0`, `no`, `false` and `none`; else true.
    pub(crate) fn flag(&self, key: &str) -> bool {
        let value = self.text(key).trim().to_lowercase();
        !matches!(value.as_str(), "" | "0" | "no" | "false" | "none")
    }

    /// As [`Self::flag`], but a key that is not there at all means `default`.
    pub(crate) fn flag_or(&self, key: &str, default: bool) -> bool {
        if self.0.iter().any(|(name, _)| name == key) {
            self.flag(key)
        } else {
            default
        }
    }

    /// A whole number; `None` when missing or empty.
    pub(crate) fn number<T: std::str::FromStr>(&self, key: &str) -> Result<Option<T>, ApiError> {
        let Some(value) = self.given(key) else {
            return Ok(None);
        };
        let parsed = value.parse();
        parsed
            .map(Some)
            .map_err(|_| ApiError::bad_parameter(format!("invalid {key}: {value:?} is no number")))
    }

    /// Unix seconds with an optional fraction; zero, empty and missing are `None`.
    pub(crate) fn time(&self, key: &str) -> Result<Option<Timestamp>, ApiError> {
        let Some(text) = self.given(key).filter(|value| *value != "0") else {
            return Ok(None);
        };
        unix_time(text)
            .map(Some)
            .ok_or_else(|| ApiError::bad_parameter(format!("invalid value for {key:?}: {text:?}")))
    }

    /// `h` and `w`, the rows and columns of a terminal.
    pub(crate) fn terminal_size(&self) -> Result<(u16, u16), ApiError> {
        let side = |key| {
            self.number::<u16>(key)?
                .ok_or_else(|| ApiError::bad_parameter(format!("invalid resize {key}: missing")))
        };
        Ok((side("h")?, side("w")?))
    }

    /// The `filters` parameter: `{"key":{"value":true}}`, or `{"key":["value"]}` as older
    /// clients write it.
    pub(crate) fn filters(&self) -> Result<Filters, ApiError> {
        let mut filters = Filters::new();
        let Some(text) = self.given("filters") else {
            return Ok(filters);
        };
        let bad = |why: &str| ApiError::bad_parameter(format!("invalid filters: {why}"));
        let parsed: Value = serde_json::from_str(text).map_err(|error| bad(&error.to_string()))?;
        let keys = match parsed {
            Value::Object(keys) => keys,
            Value::Null => return Ok(filters),
            Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_) => {
                return Err(bad("not a JSON object"));
            }
        };
        for (key, values) in keys {
            for value in filter_values(values).ok_or_else(|| bad(&key))? {
                filters.insert(key.as_str(), value);
            }
        }
        Ok(filters)
    }
}

/// The values of one filter key, whichever of the two forms they have.
fn filter_values(values: Value) -> Option<Vec<String>> {
    match values {
        Value::Object(map) => Some(map.into_iter().map(|(value, _)| value).collect()),
        Value::Array(list) => list
            .into_iter()
            .map(|value| match value {
                Value::String(text) => Some(text),
                // docker-py passes Python values through.
                Value::Bool(_) | Value::Number(_) => Some(value.to_string()),
                Value::Null | Value::Array(_) | Value::Object(_) => None,
            })
            .collect(),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => None,
    }
}

/// `1136073600` or `1136073600.000000001`; the fraction is read as decimal digits, not as a
/// float, which would lose the last of them.
fn unix_time(text: &str) -> Option<Timestamp> {
    let (seconds, fraction) = text.split_once('.').unwrap_or((text, ""));
    let digits = fraction.get(..fraction.len().min(9))?;
    if !digits.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let nanoseconds: i64 = format!("{digits:0<9}").parse().ok()?;
    let seconds: i64 = seconds.parse().ok()?;
    let start = Timestamp::from_second(seconds).ok()?;
    start
        .checked_add(SignedDuration::from_nanos(nanoseconds))
        .ok()
}

impl<S: Send + Sync> FromRequestParts<S> for Query {
    type Rejection = std::convert::Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Self::Rejection> {
        Ok(Self::parse(parts.uri.query().unwrap_or("")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flags_follow_gos_words() {
        let cases = [
            ("", false),
            ("a=", false),
            ("a=0", false),
            ("a=no", false),
            ("a=False", false),
            ("a=none", false),
            ("a=1", true),
            ("a=true", true),
            ("a=True", true),
            ("a=yes", true),
            ("b=1", false),
            ("a=1&a=0", true),
        ];
        for (raw, expected) in cases {
            assert_eq!(Query::parse(raw).flag("a"), expected, "{raw}");
        }
        assert!(Query::parse("").flag_or("rm", true));
        assert!(!Query::parse("rm=").flag_or("rm", true));
    }

    #[test]
    fn filters_come_in_two_forms() {
        let cases = [
            (r#"{"label":{"a=b":true}}"#, Some(vec!["a=b"])),
            (r#"{"label":["a=b","c"]}"#, Some(vec!["a=b", "c"])),
            (r#"{"label":[true,1]}"#, Some(vec!["1", "true"])),
            (r#"{"label":[]}"#, Some(vec![])),
            (r#"{"label":{}}"#, Some(vec![])),
            ("", Some(vec![])),
            ("null", Some(vec![])),
            (r#"{"label":"a"}"#, None),
            (r#"{"label":[{}]}"#, None),
            ("[]", None),
            ("{", None),
        ];
        for (json, expected) in cases {
            let raw: String = url::form_urlencoded::Serializer::new(String::new())
                .append_pair("filters", json)
                .finish();
            let got = Query::parse(&raw).filters().ok();
            let got: Option<Vec<String>> =
                got.map(|filters| filters.values("label").map(str::to_owned).collect());
            let wanted = expected.map(|list| list.into_iter().map(str::to_owned).collect());
            assert_eq!(got, wanted, "{json}");
        }
    }

    #[test]
    fn times_are_unix_seconds_with_a_fraction() {
        let cases = [
            ("t=", Ok(None)),
            ("t=0", Ok(None)),
            ("t=1136073600", Ok(Some("2006-01-01T00:00:00Z"))),
            (
                "t=1136073600.000000001",
                Ok(Some("2006-01-01T00:00:00.000000001Z")),
            ),
            ("t=1136073600.5", Ok(Some("2006-01-01T00:00:00.5Z"))),
            ("t=1.1234567899", Ok(Some("1970-01-01T00:00:01.123456789Z"))),
            ("t=yesterday", Err(())),
            ("t=1.x", Err(())),
            ("t=99999999999999999", Err(())),
        ];
        for (raw, expected) in cases {
            let got = Query::parse(raw).time("t").map_err(|_| ());
            let got = got.map(|time| time.map(|time| time.to_string()));
            assert_eq!(got, expected.map(|text| text.map(str::to_owned)), "{raw}");
        }
    }

    #[test]
    fn sizes_need_both_sides() {
        let size = |raw| Query::parse(raw).terminal_size().ok();
        assert_eq!(size("h=24&w=80"), Some((24, 80)));
        assert_eq!(size("h=24"), None);
        assert_eq!(size("h=x&w=80"), None);
        assert_eq!(size("h=70000&w=80"), None);
    }

    proptest::proptest! {
        #[test]
        fn no_query_breaks_it(raw in "\\PC{0,64}", json in "\\PC{0,32}") {
            let query = Query::parse(&raw);
            query.flag("a");
            drop(query.filters());
            drop(Query(vec![("filters".into(), json.clone()), ("t".into(), json)]).time("t"));
        }
    }
}
