//! The `filters` of list, prune and events requests: keys with any number of values.
//!
//! `http` decodes the two JSON shapes clients send; which keys exist is each noun's own matter.

use std::collections::{BTreeMap, BTreeSet};

use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};

use super::error::EngineError;

/// Filter keys and their values; several values of a key are alternatives, several keys must
/// all hold (label values must all hold as well).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Filters(BTreeMap<String, BTreeSet<String>>);

impl Filters {
    pub fn new() -> Self {
        Self::default()
    }

    pub fn insert(&mut self, key: impl Into<String>, value: impl Into<String>) {
        self.0.entry(key.into()).or_default().insert(value.into());
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether the key was given at all.
    pub fn has(&self, key: &str) -> bool {
        self.0.contains_key(key)
    }

    /// The values of a key; none when it was not given.
    pub fn values(&self, key: &str) -> impl Iterator<Item = &str> {
        self.0.get(key).into_iter().flatten().map(String::as_str)
    }

    /// Refuses keys outside `known`, as docker words it.
    pub(crate) fn check_keys(&self, known: &[&str]) -> Result<(), EngineError> {
        match self.0.keys().find(|key| !known.contains(&key.as_str())) {
            Some(key) => Err(EngineError::InvalidParameter(format!(
                "invalid filter '{key}'"
            ))),
            None => Ok(()),
        }
    }

    /// True when the key was not given or `matches` holds for one of its values.
    pub(crate) fn any(&self, key: &str, matches: impl Fn(&str) -> bool) -> bool {
        !self.has(key) || self.values(key).any(matches)
    }

    /// A yes-or-no filter: `None` when not given.
    pub(crate) fn flag(&self, key: &str) -> Result<Option<bool>, EngineError> {
        let Some(value) = self.values(key).next() else {
            return Ok(None);
        };
        match value.to_ascii_lowercase().as_str() {
            "1" | "t" | "true" => Ok(Some(true)),
            "0" | "f" | "false" => Ok(Some(false)),
            _ => Err(EngineError::InvalidParameter(format!(
                "invalid filter '{key}={value}'"
            ))),
        }
    }

    /// The `until` filter: a time, or a span such as `24h` before now.
    pub(crate) fn until(&self) -> Result<Option<Timestamp>, EngineError> {
        let Some(text) = self.values("until").next() else {
            return Ok(None);
        };
        let wrong =
            || EngineError::InvalidParameter(format!("invalid value for 'until': {text:?}"));
        if let Ok(span) = text.parse::<SignedDuration>() {
            return Timestamp::now()
                .checked_sub(span)
                .map(Some)
                .map_err(|_| wrong());
        }
        if let Ok(time) = text.parse::<Timestamp>() {
            return Ok(Some(time));
        }
        // A date without a zone is this machine's.
        if text.contains('-')
            && let Ok(local) = text.parse::<DateTime>()
        {
            let zoned = local.to_zoned(TimeZone::system()).map_err(|_| wrong())?;
            return Ok(Some(zoned.timestamp()));
        }
        let (seconds, nanoseconds) = text.split_once('.').unwrap_or((text, "0"));
        let seconds = seconds.parse().map_err(|_| wrong())?;
        let nanoseconds = format!("{nanoseconds:0<9}").parse().map_err(|_| wrong())?;
        Timestamp::new(seconds, nanoseconds)
            .map(Some)
            .map_err(|_| wrong())
    }

    /// Whether `labels` satisfy every `label` (`key` or `key=value`) and no `label!` filter.
    pub(crate) fn labels_match(&self, labels: &BTreeMap<String, String>) -> bool {
        let holds = |wanted: &str| match wanted.split_once('=') {
            Some((key, value)) => labels.get(key).is_some_and(|found| found == value),
            None => labels.contains_key(wanted),
        };
        self.values("label").all(holds) && !self.values("label!").any(holds)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_must_all_match() {
        let labels = BTreeMap::from([("a".to_owned(), "b".to_owned())]);
        let cases = [
            (vec![("label", "a")], true),
            (vec![("label", "a=b")], true),
            (vec![("label", "a=c")], false),
            (vec![("label", "a"), ("label", "z")], false),
            (vec![("label!", "z")], true),
            (vec![("label!", "a=b")], false),
        ];
        for (pairs, expected) in cases {
            let mut filters = Filters::new();
            for (key, value) in &pairs {
                filters.insert(*key, *value);
            }
            assert_eq!(filters.labels_match(&labels), expected, "{pairs:?}");
        }
    }

    #[test]
    fn until_is_a_time_or_a_span() {
        for good in [
            "24h",
            "10m",
            "1h30m",
            "1700000000",
            "1700000000.5",
            "2024-01-01T00:00:00Z",
            "2024-01-01T10:30:00",
            "2024-01-01T10:30",
            "2024-01-01",
        ] {
            let mut filters = Filters::new();
            filters.insert("until", good);
            assert!(filters.until().unwrap().is_some(), "{good}");
        }
        let mut filters = Filters::new();
        filters.insert("until", "tomorrow");
        assert!(filters.until().is_err());
        assert_eq!(Filters::new().until().unwrap(), None);
    }

    #[test]
    fn flags_take_every_boolean_word() {
        for (word, expected) in [("1", Some(true)), ("True", Some(true)), ("f", Some(false))] {
            let mut filters = Filters::new();
            filters.insert("dangling", word);
            assert_eq!(filters.flag("dangling").unwrap(), expected);
        }
        let mut filters = Filters::new();
        filters.insert("dangling", "maybe");
        assert!(filters.flag("dangling").is_err());
        assert!(filters.check_keys(&["label"]).is_err());
    }
}
