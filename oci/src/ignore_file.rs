//! `.dockerignore`: which files a build does not get to see.
//! <https://docs.docker.com/build/concepts/context/#dockerignore-files>

use std::path::Path;

/// A pattern or a file of patterns that cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct PatternError(String);

/// The file's patterns, in order: the last one that matches decides.
#[derive(Debug, Default)]
pub struct IgnoreFile {
    patterns: Vec<Pattern>,
}

/// A pattern for names in one folder, such as `*.jar`.
#[derive(Debug)]
pub struct NamePattern(Vec<Token>);

impl NamePattern {
    /// Fails on a class without end or a backslash at the end.
    pub fn parse(pattern: &str) -> Result<Self, PatternError> {
        let tokens = tokens(pattern);
        tokens
            .map(Self)
            .ok_or_else(|| PatternError(format!("syntax error in pattern: {pattern}")))
    }

    /// Whether a text is a pattern at all, and not just a name.
    pub fn is_pattern(text: &str) -> bool {
        text.contains(['*', '?', '[', '\\'])
    }

    pub fn matches(&self, name: &str) -> bool {
        matches(&self.0, &name.chars().collect::<Vec<_>>())
    }
}

#[derive(Debug)]
struct Pattern {
    tokens: Vec<Token>,
    /// `!pattern`: what matches is not left out after all.
    keeps: bool,
}

#[derive(Debug, PartialEq, Eq)]
enum Token {
    Literal(char),
    /// `?`: one character of a name.
    One,
    /// `*`: any characters of a name.
    Name,
    /// `**/`: any folders, or none.
    Folders,
    /// `**` at the end: everything.
    All,
    /// `[a-z]`, `[^a-z]`
    Class {
        ranges: Vec<(char, char)>,
        negated: bool,
    },
}

impl IgnoreFile {
    /// Reads the text of the file.
    pub fn parse(text: &str) -> Result<Self, PatternError> {
        let mut patterns = Vec::new();
        for line in text.strip_prefix('\u{feff}').unwrap_or(text).lines() {
            if line.starts_with('#') {
                continue;
            }
            let line = line.trim();
            let (line, keeps) = match line.strip_prefix('!') {
                Some(rest) => (rest.trim(), true),
                None => (line, false),
            };
            let clean = clean(line);
            if clean.is_empty() {
                if keeps {
                    return Err(PatternError("illegal exclusion pattern: \"!\"".to_owned()));
                }
                continue;
            }
            let tokens = tokens(&clean)
                .ok_or_else(|| PatternError(format!("syntax error in pattern: {line}")))?;
            patterns.push(Pattern { tokens, keeps });
        }
        Ok(Self { patterns })
    }

    /// Whether the path, relative to the context, is left out: it or a folder above it matches.
    pub fn ignores(&self, path: &Path) -> bool {
        let names: Vec<&str> = path.iter().filter_map(|name| name.to_str()).collect();
        let mut ignored = false;
        for pattern in &self.patterns {
            // A pattern that would change nothing need not be tried.
            if pattern.keeps != ignored {
                continue;
            }
            let matches = (1..=names.len()).any(|n_names| {
                let text: Vec<char> = names[..n_names].join("/").chars().collect();
                matches(&pattern.tokens, &text)
            });
            if matches {
                ignored = !pattern.keeps;
            }
        }
        ignored
    }

    /// Whether something below an ignored folder may still be wanted.
    pub fn may_keep_below(&self) -> bool {
        self.patterns.iter().any(|pattern| pattern.keeps)
    }
}

/// The pattern without `.`, `..` and surplus slashes.
fn clean(line: &str) -> String {
    let mut names: Vec<&str> = Vec::new();
    for name in line.split('/') {
        match name {
            "" | "." => {}
            ".." => {
                names.pop();
            }
            name => names.push(name),
        }
    }
    names.join("/")
}

fn tokens(pattern: &str) -> Option<Vec<Token>> {
    let mut tokens = Vec::new();
    let mut characters = pattern.chars().peekable();
    while let Some(character) = characters.next() {
        tokens.push(match character {
            '*' if characters.next_if_eq(&'*').is_some() => {
                while characters.next_if_eq(&'*').is_some() {}
                match characters.peek() {
                    Some('/') => {
                        characters.next();
                        Token::Folders
                    }
                    _ => Token::All,
                }
            }
            '*' => Token::Name,
            '?' => Token::One,
            '[' => class(&mut characters)?,
            '\\' => Token::Literal(characters.next()?),
            other => Token::Literal(other),
        });
    }
    Some(tokens)
}

fn class(characters: &mut std::iter::Peekable<std::str::Chars<'_>>) -> Option<Token> {
    let negated = characters.next_if_eq(&'^').is_some();
    let mut ranges = Vec::new();
    loop {
        let mut one = || match characters.next()? {
            '\\' => characters.next(),
            other => Some(other),
        };
        let first = one()?;
        let last = if characters.next_if_eq(&'-').is_some() {
            match characters.next()? {
                '\\' => characters.next()?,
                ']' => return None,
                other => other,
            }
        } else {
            first
        };
        ranges.push((first, last));
        if characters.next_if_eq(&']').is_some() {
            return Some(Token::Class { ranges, negated });
        }
    }
}

fn matches(tokens: &[Token], text: &[char]) -> bool {
    let Some((token, rest)) = tokens.split_first() else {
        return text.is_empty();
    };
    let one = |fits: &dyn Fn(char) -> bool| match text.split_first() {
        Some((character, after)) => fits(*character) && matches(rest, after),
        None => false,
    };
    match token {
        Token::Literal(wanted) => one(&|character| character == *wanted),
        Token::One => one(&|character| character != '/'),
        Token::Class { ranges, negated } => one(&|character| {
            let within = ranges
                .iter()
                .any(|(first, last)| (*first..=*last).contains(&character));
            character != '/' && within != *negated
        }),
        Token::Name => {
            let length = text.iter().position(|c| *c == '/').unwrap_or(text.len());
            (0..=length).any(|n_characters| matches(rest, &text[n_characters..]))
        }
        Token::Folders => {
            matches(rest, text)
                || text
                    .iter()
                    .enumerate()
                    .any(|(index, c)| *c == '/' && matches(rest, &text[index + 1..]))
        }
        Token::All => (0..=text.len()).any(|n_characters| matches(rest, &text[n_characters..])),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn ignores(file: &str, path: &str) -> bool {
        IgnoreFile::parse(file).unwrap().ignores(Path::new(path))
    }

    #[test]
    fn patterns() {
        let cases = [
            ("", "a", false),
            ("# a", "a", false),
            ("a", "a", true),
            ("/a/", "a", true),
            ("./a", "a", true),
            ("a", "a/b/c", true),
            ("a", "b/a", false),
            ("*/a", "b/a", true),
            ("*.md", "x.md", true),
            ("*.md", "b/x.md", false),
            ("**/*.md", "x.md", true),
            ("**/*.md", "b/c/x.md", true),
            ("b/**", "b/c/x.md", true),
            ("temp?", "temp1", true),
            ("temp?", "temp", false),
            ("[a-c]x", "bx", true),
            ("[^a-c]x", "bx", false),
            ("a\\*", "a*", true),
            ("a\\*", "ab", false),
            ("*\n!keep", "keep", false),
            ("*\n!keep", "other", true),
            (
                "*.md\n!README*.md\nREADME-secret.md",
                "README-secret.md",
                true,
            ),
            ("*.md\n!README*.md\nREADME-secret.md", "README-x.md", false),
            ("a\n!a/b", "a/b", false),
            ("a\n!a/b", "a/c", true),
        ];
        for (file, path, expected) in cases {
            assert_eq!(ignores(file, path), expected, "{file:?} on {path}");
        }
    }

    #[test]
    fn mistakes_are_told() {
        for file in ["[", "[a-", "a\\", "!"] {
            assert!(IgnoreFile::parse(file).is_err(), "{file}");
        }
    }

    proptest! {
        #[test]
        fn never_panics(file in "[a-c*?/!\\[\\]^.\\\\-]{0,12}", path in "[a-c/]{0,8}") {
            if let Ok(file) = IgnoreFile::parse(&file) {
                file.ignores(Path::new(&path));
            }
        }
    }
}
