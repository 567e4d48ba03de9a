//! Quotes and variables, as a shell has them.

use super::DockerfileError;

/// The most bytes that one text may become.
const MAX_BYTES: usize = 1 << 20;

/// What names stand for; later ones win.
#[derive(Debug, Clone, Default)]
pub struct Variables(Vec<(String, String)>);

impl Variables {
    /// From `NAME=value` entries.
    pub fn of<'a>(entries: impl IntoIterator<Item = &'a String>) -> Self {
        let pairs = entries
            .into_iter()
            .filter_map(|entry| entry.split_once('='));
        Self(
            pairs
                .map(|(name, value)| (name.to_owned(), value.to_owned()))
                .collect(),
        )
    }

    pub fn set(&mut self, name: &str, value: &str) {
        self.0.retain(|(other, _)| other != name);
        self.0.push((name.to_owned(), value.to_owned()));
    }

    pub fn get(&self, name: &str) -> Option<&str> {
        let mut newest_first = self.0.iter().rev();
        let found = newest_first.find(|(other, _)| other == name);
        found.map(|(_, value)| value.as_str())
    }
}

/// One word: quotes are taken away, variables replaced; blanks stay.
pub fn expand(text: &str, variables: &Variables, escape: char) -> Result<String, DockerfileError> {
    let mut words = expander(text, variables, escape).run()?;
    Ok(if words.is_empty() {
        String::new()
    } else {
        words.swap_remove(0).text
    })
}

/// As [`expand`], and split at the blanks outside quotes.
pub fn expand_words(
    text: &str,
    variables: &Variables,
    escape: char,
) -> Result<Vec<String>, DockerfileError> {
    let mut expander = expander(text, variables, escape);
    expander.splits = true;
    let words = expander.run()?.into_iter();
    let kept = words.filter(|word| word.quoted || !word.text.is_empty());
    Ok(kept.map(|word| word.text).collect())
}

fn expander<'a>(text: &str, variables: &'a Variables, escape: char) -> Expander<'a> {
    Expander {
        rest: text.chars().rev().collect(),
        variables,
        escape,
        splits: false,
        n_bytes: 0,
    }
}

#[derive(Default)]
struct Word {
    text: String,
    /// Part of it was in quotes, so that it is a word even when it is empty.
    quoted: bool,
}

struct Expander<'a> {
    /// What is still to be read, last character first.
    rest: Vec<char>,
    variables: &'a Variables,
    escape: char,
    splits: bool,
    n_bytes: usize,
}

impl Expander<'_> {
    fn run(mut self) -> Result<Vec<Word>, DockerfileError> {
        let mut words = vec![Word::default()];
        while let Some(c) = self.rest.pop() {
            let last = words.len() - 1;
            match c {
                '\'' => {
                    words[last].quoted = true;
                    let text = self.single_quoted()?;
                    words[last].text.push_str(&text);
                }
                '"' => {
                    words[last].quoted = true;
                    let text = self.double_quoted()?;
                    words[last].text.push_str(&text);
                }
                '$' => {
                    let text = self.variable()?;
                    if self.splits {
                        append_split(&mut words, &text);
                    } else {
                        words[last].text.push_str(&text);
                    }
                }
                c if c == self.escape => match self.rest.pop() {
                    Some(next) => words[last].text.push(next),
                    None => words[last].text.push(c),
                },
                c if self.splits && c.is_whitespace() => words.push(Word::default()),
                c => words[last].text.push(c),
            }
        }
        Ok(words)
    }

    fn single_quoted(&mut self) -> Result<String, DockerfileError> {
        let mut text = String::new();
        loop {
            match self.rest.pop() {
                Some('\'') => return Ok(text),
                Some(c) => text.push(c),
                None => {
                    return Err(DockerfileError::new(
                        "unexpected end of statement while looking for matching single-quote",
                    ));
                }
            }
        }
    }

    fn double_quoted(&mut self) -> Result<String, DockerfileError> {
        let mut text = String::new();
        loop {
            match self.rest.pop() {
                Some('"') => return Ok(text),
                Some('$') => text.push_str(&self.variable()?),
                Some(c) if c == self.escape => match self.rest.pop() {
                    Some(next) if next == '"' || next == '$' || next == self.escape => {
                        text.push(next);
                    }
                    Some(next) => text.extend([c, next]),
                    None => text.push(c),
                },
                Some(c) => text.push(c),
                None => {
                    return Err(DockerfileError::new(
                        "unexpected end of statement while looking for matching double-quote",
                    ));
                }
            }
        }
    }

    /// What follows a `$`.
    fn variable(&mut self) -> Result<String, DockerfileError> {
        let value = if self.rest.last() == Some(&'{') {
            self.rest.pop();
            self.braced()?
        } else {
            let name = self.name();
            if name.is_empty() {
                return Ok("$".to_owned());
            }
            self.variables.get(&name).unwrap_or_default().to_owned()
        };
        self.n_bytes += value.len();
        if self.n_bytes > MAX_BYTES {
            return Err(DockerfileError::new("the variables of a line are too long"));
        }
        Ok(value)
    }

    /// Letters, digits and underscores, or one of the shell's special parameters.
    fn name(&mut self) -> String {
        let mut name = String::new();
        while let Some(&c) = self.rest.last() {
            let special = name.is_empty() && matches!(c, '@' | '*' | '#' | '?' | '-' | '!');
            let digit = name.is_empty() && c.is_ascii_digit();
            if special || digit {
                name.extend(self.rest.pop());
                return name;
            }
            if !(c.is_ascii_alphanumeric() || c == '_') {
                break;
            }
            name.extend(self.rest.pop());
        }
        name
    }

    /// `{name}` and its forms; the opening brace has been read.
    fn braced(&mut self) -> Result<String, DockerfileError> {
        let name = self.name();
        if name.is_empty() {
            return Err(DockerfileError::new("bad substitution"));
        }
        let value = self.variables.get(&name).map(str::to_owned);
        match self.rest.pop() {
            Some('}') => Ok(value.unwrap_or_default()),
            Some(':') => match self.rest.pop() {
                Some(operator @ ('-' | '+' | '?')) => {
                    let set = value.filter(|value| !value.is_empty());
                    self.choose(&name, operator, set)
                }
                _ => Err(DockerfileError::new(format!(
                    "unsupported modifier in substitution of {name}"
                ))),
            },
            Some(operator @ ('-' | '+' | '?')) => self.choose(&name, operator, value),
            Some(operator @ ('#' | '%' | '/')) => {
                let longest = self.rest.last() == Some(&operator);
                if longest {
                    self.rest.pop();
                }
                let pattern = self.operand()?;
                let value = value.unwrap_or_default();
                Ok(match operator {
                    '#' => without_prefix(&value, &pattern, longest),
                    '%' => without_suffix(&value, &pattern, longest),
                    _ => replaced(&value, &pattern, longest),
                })
            }
            _ => Err(DockerfileError::new("syntax error: missing '}'")),
        }
    }

    fn choose(
        &mut self,
        name: &str,
        operator: char,
        value: Option<String>,
    ) -> Result<String, DockerfileError> {
        let other = self.operand()?;
        match (operator, value) {
            ('-', value) => Ok(value.unwrap_or(other)),
            ('+', Some(_)) => Ok(other),
            ('+', None) => Ok(String::new()),
            (_, Some(value)) => Ok(value),
            (_, None) if other.is_empty() => Err(DockerfileError::new(format!(
                "{name}: is not allowed to be unset"
            ))),
            (_, None) => Err(DockerfileError::new(format!("{name}: {other}"))),
        }
    }

    /// Up to the closing brace, with what is in it expanded.
    fn operand(&mut self) -> Result<String, DockerfileError> {
        let mut text = String::new();
        loop {
            match self.rest.pop() {
                Some('}') => return Ok(text),
                Some('$') => text.push_str(&self.variable()?),
                Some('\'') => text.push_str(&self.single_quoted()?),
                Some('"') => text.push_str(&self.double_quoted()?),
                Some(c) if c == self.escape => text.extend(self.rest.pop().or(Some(c))),
                Some(c) => text.push(c),
                None => return Err(DockerfileError::new("syntax error: missing '}'")),
            }
        }
    }
}

/// A value's own blanks separate words too.
fn append_split(words: &mut Vec<Word>, value: &str) {
    for (n, part) in value.split(char::is_whitespace).enumerate() {
        if n > 0 {
            words.push(Word::default());
        }
        if let Some(last) = words.last_mut() {
            last.text.push_str(part);
        }
    }
}

/// Byte offsets at which `text` can be cut.
fn cuts(text: &str) -> impl DoubleEndedIterator<Item = usize> + '_ {
    text.char_indices()
        .map(|(at, _)| at)
        .chain([text.len()])
        .collect::<Vec<_>>()
        .into_iter()
}

fn without_prefix(value: &str, pattern: &str, longest: bool) -> String {
    let fits = |at: &usize| matches(pattern, &value[..*at]);
    let cut = if longest {
        cuts(value).rev().find(fits)
    } else {
        cuts(value).find(fits)
    };
    value[cut.unwrap_or(0)..].to_owned()
}

fn without_suffix(value: &str, pattern: &str, longest: bool) -> String {
    let fits = |at: &usize| matches(pattern, &value[*at..]);
    let cut = if longest {
        cuts(value).find(fits)
    } else {
        cuts(value).rev().find(fits)
    };
    value[..cut.unwrap_or(value.len())].to_owned()
}

/// `${name/pattern/replacement}`; `//` replaces all.
fn replaced(value: &str, operand: &str, all: bool) -> String {
    let (pattern, replacement) = operand.split_once('/').unwrap_or((operand, ""));
    let mut result = String::new();
    let mut rest = value;
    while !rest.is_empty() {
        let found = cuts(rest)
            .rev()
            .find(|at| *at > 0 && matches(pattern, &rest[..*at]));
        if let Some(at) = found {
            result.push_str(replacement);
            rest = &rest[at..];
            if !all {
                break;
            }
        } else {
            let next = rest.chars().next().map_or(rest.len(), char::len_utf8);
            result.push_str(&rest[..next]);
            rest = &rest[next..];
        }
    }
    result + rest
}

/// `*` and `?` as a shell has them, in time proportional to both lengths.
fn matches(pattern: &str, text: &str) -> bool {
    let (pattern, text): (Vec<char>, Vec<char>) =
        (pattern.chars().collect(), text.chars().collect());
    let (mut p, mut t) = (0, 0);
    let mut star: Option<(usize, usize)> = None;
    while t < text.len() {
        match pattern.get(p) {
            Some('*') => {
                star = Some((p, t));
                p += 1;
            }
            Some(&c) if c == '?' || c == text[t] => {
                p += 1;
                t += 1;
            }
            _ => match star {
                Some((at, seen)) => {
                    star = Some((at, seen + 1));
                    p = at + 1;
                    t = seen + 1;
                }
                None => return false,
            },
        }
    }
    pattern[p..].iter().all(|&c| c == '*')
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn variables() -> Variables {
        let mut variables = Variables::default();
        for (name, value) in [
            ("A", "one"),
            ("EMPTY", ""),
            ("P", "/usr/lib/x.tar.gz"),
            ("W", "a b"),
        ] {
            variables.set(name, value);
        }
        variables
    }

    #[test]
    fn words_are_expanded_as_a_shell_does() {
        for (text, expected) in [
            ("plain", "plain"),
            ("$A-${A}", "one-one"),
            ("\\$A", "$A"),
            ("'$A'", "$A"),
            ("\"$A b\"", "one b"),
            ("\"\\\"\\x\"", "\"\\x"),
            ("a\\ b", "a b"),
            ("$NONE.", "."),
            ("$", "$"),
            ("$.", "$."),
            ("${A:-x}${NONE:-x$A}", "onexone"),
            ("${EMPTY:-x}${EMPTY-y}", "x"),
            ("${A:+yes}${NONE:+no}${EMPTY+set}", "yesset"),
            ("${P##*/}", "x.tar.gz"),
            ("${P#*/}", "usr/lib/x.tar.gz"),
            ("${P%.*}", "/usr/lib/x.tar"),
            ("${P%%.*}", "/usr/lib/x"),
            ("${P/lib/LIB}", "/usr/LIB/x.tar.gz"),
            ("${P//[/x}", "/usr/lib/x.tar.gz"),
            ("${P//r/R}", "/usR/lib/x.taR.gz"),
        ] {
            assert_eq!(
                expand(text, &variables(), '\\').as_deref(),
                Ok(expected),
                "{text}"
            );
        }
        for bad in ["'a", "\"a", "${A", "${", "${A:x}", "${NONE:?gone}", "${}"] {
            assert!(expand(bad, &variables(), '\\').is_err(), "{bad}");
        }
    }

    #[test]
    fn words_are_split_outside_quotes() {
        for (text, expected) in [
            ("a  b", &["a", "b"][..]),
            ("$W '$W' \"$W\"", &["a", "b", "$W", "a b"]),
            ("$NONE", &[]),
            ("''", &[""]),
            ("x$W", &["xa", "b"]),
        ] {
            assert_eq!(
                expand_words(text, &variables(), '\\').unwrap(),
                expected,
                "{text}"
            );
        }
    }

    proptest! {
        #[test]
        fn any_text_ends_in_a_word_or_an_error(text in "[$A{}:%#/*?'\" \\\\a-c+-]{0,60}") {
            drop(expand(&text, &variables(), '\\'));
            drop(expand_words(&text, &variables(), '`'));
        }
    }
}
