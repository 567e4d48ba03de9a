//! `WWW-Authenticate`, RFC 9110 section 11.6.1, as registries use it. Pure: `auth` answers it.

use std::collections::BTreeMap;

/// One challenge of a registry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Challenge {
    Basic,
    Bearer {
        realm: String,
        service: Option<String>,
        scope: Option<String>,
    },
}

/// Reads a header's challenges; schemes that we do not know are left out.
pub(super) fn parse(header: &str) -> Vec<Challenge> {
    let mut challenges = Vec::new();
    let mut rest = header;
    while let Some((scheme, parameters, after)) = one_challenge(rest) {
        rest = after;
        let known = if scheme.eq_ignore_ascii_case("basic") {
            Some(Challenge::Basic)
        } else if scheme.eq_ignore_ascii_case("bearer") {
            bearer(parameters)
        } else {
            None
        };
        challenges.extend(known);
    }
    challenges
}

fn bearer(mut parameters: BTreeMap<String, String>) -> Option<Challenge> {
    Some(Challenge::Bearer {
        realm: parameters.remove("realm")?,
        service: parameters.remove("service"),
        scope: parameters.remove("scope"),
    })
}

/// A scheme, its parameters, and what follows them.
fn one_challenge(text: &str) -> Option<(&str, BTreeMap<String, String>, &str)> {
    let text = text.trim_start_matches([' ', '\t', ',']);
    let (scheme, mut rest) = token(text)?;
    let mut parameters = BTreeMap::new();
    while let Some((key, value, after)) = parameter(rest) {
        parameters.insert(key, value);
        rest = after;
    }
    Some((scheme, parameters, rest))
}

/// `, key=value` or `, key="value"`; `None` where the next challenge starts.
fn parameter(text: &str) -> Option<(String, String, &str)> {
    let text = text.trim_start_matches([' ', '\t', ',']);
    let (key, rest) = token(text)?;
    let rest = rest.trim_start().strip_prefix('=')?.trim_start();
    let (value, rest) = match rest.strip_prefix('"') {
        Some(quoted) => quoted_string(quoted)?,
        None => token(rest).map(|(value, rest)| (value.to_owned(), rest))?,
    };
    Some((key.to_ascii_lowercase(), value, rest))
}

fn token(text: &str) -> Option<(&str, &str)> {
    let end = text.find([' ', '\t', ',', '=', '"']).unwrap_or(text.len());
    (end > 0).then(|| text.split_at(end))
}

fn quoted_string(text: &str) -> Option<(String, &str)> {
    let mut value = String::new();
    let mut characters = text.char_indices();
    while let Some((at, character)) = characters.next() {
        match character {
            '"' => return Some((value, &text[at + 1..])),
            '\\' => value.push(characters.next()?.1),
            other => value.push(other),
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn bearer(realm: &str, service: Option<&str>, scope: Option<&str>) -> Challenge {
        let owned = |text: Option<&str>| text.map(str::to_owned);
        Challenge::Bearer {
            realm: realm.to_owned(),
            service: owned(service),
            scope: owned(scope),
        }
    }

    #[test]
    fn what_registries_send() {
        let full = r#"Bearer realm="https://r/token",service="S",scope="repository:a/b:pull,push",error="invalid_token""#;
        let both = r#"Basic realm="x", Bearer realm="https://r""#;
        for (header, challenges) in [
            (
                full,
                vec![bearer(
                    "https://r/token",
                    Some("S"),
                    Some("repository:a/b:pull,push"),
                )],
            ),
            (
                both,
                vec![Challenge::Basic, bearer("https://r", None, None)],
            ),
            (r#"basic realm="x\"y""#, vec![Challenge::Basic]),
            (
                "BEARER realm=https://r/t",
                vec![bearer("https://r/t", None, None)],
            ),
            (r#"Bearer service="no realm""#, vec![]),
            ("Negotiate", vec![]),
            (r#"Bearer realm="never closed"#, vec![]),
            ("", vec![]),
            ("= , =\"", vec![]),
        ] {
            assert_eq!(parse(header), challenges, "{header}");
        }
    }

    proptest! {
        #[test]
        fn never_panics_or_hangs(header in "\\PC{0,80}") {
            parse(&header);
        }
    }
}
