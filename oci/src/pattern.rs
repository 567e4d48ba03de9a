//! Which repositories and tags are meant: `team/app`, `team/*`, `team/**`; `v*`.
//!
//! `*` is any characters of one component, `**` as a component of its own is any
//! number of components: `team/*` is `team/app` and not `team/app/web`,
//! `team/**` is both, and `**` is every repository.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::reference::{RepositoryName, Tag};

/// Longer than any name that it could mean.
const MAX_BYTES: usize = 255;

/// Matching takes no more steps than name and pattern have components
/// multiplied, whatever the pattern is.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct RepositoryPattern(String);

impl RepositoryPattern {
    /// Every repository there is or will be.
    pub fn every() -> Self {
        Self("**".to_owned())
    }

    /// As it was written.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether it means this repository.
    pub fn matches(&self, name: &RepositoryName) -> bool {
        let mut pattern: Vec<&str> = self.0.split('/').collect();
        // At its end it is one component at least: what is below, and not
        // that which it is below.
        if pattern.last() == Some(&"**") {
            pattern.insert(pattern.len() - 1, "*");
        }
        let name: Vec<&str> = name.as_str().split('/').collect();
        wildcard(
            &pattern,
            &name,
            |part| *part == "**",
            |part, component| {
                wildcard(
                    part.as_bytes(),
                    component.as_bytes(),
                    |byte| *byte == b'*',
                    PartialEq::eq,
                )
            },
        )
    }
}

/// Whether `text` is `pattern`, in which some parts stand for any number of
/// others. Goes back to the last of those only, which is enough.
fn wildcard<P, T>(
    pattern: &[P],
    text: &[T],
    is_any: impl Fn(&P) -> bool,
    is_same: impl Fn(&P, &T) -> bool,
) -> bool {
    let (mut p, mut t) = (0, 0);
    let mut retry: Option<(usize, usize)> = None;
    while t < text.len() {
        if p < pattern.len() && is_any(&pattern[p]) {
            retry = Some((p, t));
            p += 1;
        } else if p < pattern.len() && is_same(&pattern[p], &text[t]) {
            p += 1;
            t += 1;
        } else if let Some((any, from)) = retry {
            retry = Some((any, from + 1));
            p = any + 1;
            t = from + 1;
        } else {
            return false;
        }
    }
    pattern[p..].iter().all(is_any)
}

/// Whether a text is a pattern in which `*` is any characters.
pub fn text_matches(pattern: &str, text: &str) -> bool {
    wildcard(
        pattern.as_bytes(),
        text.as_bytes(),
        |byte| *byte == b'*',
        PartialEq::eq,
    )
}

impl From<&RepositoryName> for RepositoryPattern {
    fn from(name: &RepositoryName) -> Self {
        Self(name.as_str().to_owned())
    }
}

impl fmt::Display for RepositoryPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A text that can mean no repository.
#[derive(Debug, thiserror::Error)]
#[error(
    "{0:?} is no pattern of repository names: components of a-z, 0-9, '.', '_', '-' and '*' \
     with '/' between them, such as team/app, team/* or team/**"
)]
pub struct PatternError(String);

impl TryFrom<String> for RepositoryPattern {
    type Error = PatternError;

    fn try_from(text: String) -> Result<Self, PatternError> {
        text.parse()
    }
}

impl From<RepositoryPattern> for String {
    fn from(pattern: RepositoryPattern) -> Self {
        pattern.0
    }
}

impl FromStr for RepositoryPattern {
    type Err = PatternError;

    fn from_str(text: &str) -> Result<Self, PatternError> {
        let is_fine = |part: &str| {
            let known = |b: u8| {
                b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'.' | b'_' | b'-')
            };
            part == "**"
                || (!part.is_empty()
                    && !part.contains("**")
                    && part.bytes().all(|b| known(b) || b == b'*'))
        };
        if text.len() <= MAX_BYTES && text.split('/').all(is_fine) {
            Ok(Self(text.to_owned()))
        } else {
            Err(PatternError(text.to_owned()))
        }
    }
}

/// Tags in which `*` is any characters: `v*`, `release-*-lts`, `*`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct TagPattern(String);

impl TagPattern {
    /// Every tag.
    pub fn every() -> Self {
        Self("*".to_owned())
    }

    /// As it was written.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether it means this tag.
    pub fn matches(&self, tag: &Tag) -> bool {
        text_matches(&self.0, tag.as_str())
    }
}

impl fmt::Display for TagPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A text that can mean no tag.
#[derive(Debug, thiserror::Error)]
#[error("{0:?} is no pattern of tags: letters, digits, '.', '_', '-' and '*', such as v* or *-rc*")]
pub struct TagPatternError(String);

impl FromStr for TagPattern {
    type Err = TagPatternError;

    fn from_str(text: &str) -> Result<Self, TagPatternError> {
        let known = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-' | b'*');
        if (1..=MAX_BYTES).contains(&text.len()) && text.bytes().all(known) {
            Ok(Self(text.to_owned()))
        } else {
            Err(TagPatternError(text.to_owned()))
        }
    }
}

impl TryFrom<String> for TagPattern {
    type Error = TagPatternError;

    fn try_from(text: String) -> Result<Self, TagPatternError> {
        text.parse()
    }
}

impl From<TagPattern> for String {
    fn from(pattern: TagPattern) -> Self {
        pattern.0
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn patterns_mean_what_they_say() {
        for (pattern, means, not) in [
            (
                "team/app",
                &["team/app"][..],
                &["team", "team/app/x", "team/ap", "team/apps"][..],
            ),
            (
                "team/*",
                &["team/app"],
                &["team", "team/app/web", "teams/app", "a/team/app"],
            ),
            (
                "team/**",
                &["team/app", "team/app/web"],
                &["team", "teams/app", "a/team/app"],
            ),
            ("*", &["app"], &["team/app"]),
            ("**", &["app", "a/b/c"], &[]),
            (
                "**/app",
                &["app", "a/app", "a/b/app"],
                &["apps", "app/a", "a/xapp"],
            ),
            (
                "a/**/z",
                &["a/z", "a/b/z", "a/b/c/z"],
                &["a", "z", "a/b", "b/a/z"],
            ),
            (
                "ci-*/x*y",
                &["ci-1/xy", "ci-a-b/xzy"],
                &["ci/xy", "ci-1/x", "ci-1/y", "ci-1/xy/z"],
            ),
            ("*a*b*", &["ab", "xaxbx", "aab"], &["ba", "a", "a/b"]),
        ] {
            let parsed: RepositoryPattern = pattern.parse().unwrap();
            for name in means {
                assert!(parsed.matches(&name.parse().unwrap()), "{pattern} {name}");
            }
            for name in not {
                assert!(!parsed.matches(&name.parse().unwrap()), "{pattern} {name}");
            }
        }
    }

    #[test]
    fn tags_are_meant_by_their_characters() {
        for (pattern, means, not) in [
            ("v*", &["v", "v1.2"][..], &["V1", "av1"][..]),
            ("*", &["latest", "1"], &[]),
            ("*-rc*", &["1-rc1", "2.0-rc"], &["rc1", "1rc"]),
            ("1.0", &["1.0"], &["1x0", "1.0.1"]),
        ] {
            let parsed: TagPattern = pattern.parse().unwrap();
            assert!(
                means
                    .iter()
                    .all(|tag| parsed.matches(&tag.parse().unwrap()))
            );
            assert!(!not.iter().any(|tag| parsed.matches(&tag.parse().unwrap())));
        }
        for text in ["", "a/b", "a b", "a:b", "[a]"] {
            assert!(text.parse::<TagPattern>().is_err(), "{text}");
        }
    }

    #[test]
    fn what_is_no_pattern_is_refused() {
        for text in [
            "", "/", "a//b", "/a", "a/", "A", "a b", "a/***", "x**", "a:b", "a?", "ä",
        ] {
            assert!(text.parse::<RepositoryPattern>().is_err(), "{text}");
        }
        assert!("a".repeat(256).parse::<RepositoryPattern>().is_err());
    }

    proptest! {
        #[test]
        fn a_name_is_meant_by_itself_and_by_every_wider_pattern(
            name in "[a-z0-9]{1,4}(/[a-z0-9]{1,4}){0,5}"
        ) {
            let repository: RepositoryName = name.parse().unwrap();
            let mut patterns = vec![name.clone(), "**".to_owned(), format!("**/{name}")];
            if let Some((above, _)) = name.rsplit_once('/') {
                patterns.push(format!("{above}/*"));
                patterns.push(format!("{above}/**"));
            }
            for pattern in patterns {
                let parsed: RepositoryPattern = pattern.parse().unwrap();
                prop_assert!(parsed.matches(&repository), "{} {}", pattern, name);
            }
        }

        #[test]
        fn no_pattern_takes_long(pattern in "(\\*?a?){0,60}", name in "[ab]{1,200}") {
            if let Ok(pattern) = pattern.parse::<RepositoryPattern>() {
                pattern.matches(&name.parse().unwrap());
            }
        }
    }
}
