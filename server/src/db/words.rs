//! How text becomes words that both databases index and find alike.
//!
//! Neither database's own idea of a word is used: what is stored and what is
//! asked for is split here, into runs of letters and digits, and written in
//! ASCII only. So a question can hold nothing that either database reads as
//! more than a word. Pure.

use std::collections::BTreeSet;
use std::fmt::Write as _;

/// Characters of a word that count; what follows is left out.
const WORD_CHARS: usize = 40;

/// Words of one field that are indexed.
const FIELD_WORDS: usize = 1000;

/// Words of a question that are looked for.
const ASKED_WORDS: usize = 16;

/// No text has this word, nor one that begins so: after `z` comes a `z` or a
/// hexadecimal digit (see [`written`]).
const NO_WORD: &str = "zx";

/// Raised when the same text becomes other words than before: everything is
/// indexed again then.
pub(super) const VERSION: i64 = 1;

/// The different words of a text, separated by spaces.
pub(super) fn of(text: &str) -> String {
    let mut seen = BTreeSet::new();
    let fresh = split(text).filter(|word| seen.insert(word.clone()));
    fresh.take(FIELD_WORDS).collect::<Vec<_>>().join(" ")
}

/// What to look for: every word of a question, as the beginning of a word.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Question(Vec<String>);

impl Question {
    pub(super) fn new(text: &str) -> Self {
        let words: Vec<String> = split(text).take(ASKED_WORDS).collect();
        Self(if words.is_empty() {
            vec![NO_WORD.to_owned()]
        } else {
            words
        })
    }

    /// For FTS5: in those of its columns, or in all when none is named.
    pub(super) fn for_sqlite(&self, columns: &str) -> String {
        let each = self.0.iter().map(|word| format!("\"{word}\" *"));
        let all = each.collect::<Vec<_>>().join(" AND ");
        if columns.is_empty() {
            all
        } else {
            format!("{{{columns}}} : ({all})")
        }
    }

    /// A `tsquery`.
    pub(super) fn for_postgres(&self) -> String {
        let each = self.0.iter().map(|word| format!("{word}:*"));
        each.collect::<Vec<_>>().join(" & ")
    }
}

fn split(text: &str) -> impl Iterator<Item = String> {
    text.split(|c: char| !c.is_alphanumeric())
        .filter(|word| !word.is_empty())
        .map(written)
}

/// A word in ASCII: other characters as `z` and the hexadecimal digits of their
/// bytes, a `z` as two. The beginning of a word stays the beginning of what is
/// written for it.
fn written(word: &str) -> String {
    let mut text = String::with_capacity(word.len());
    for c in word.chars().flat_map(char::to_lowercase).take(WORD_CHARS) {
        match c {
            'z' => text.push_str("zz"),
            'a'..='y' | '0'..='9' => text.push(c),
            other => {
                let mut bytes = [0; 4];
                text.push('z');
                for byte in other.encode_utf8(&mut bytes).bytes() {
                    // Writing to a string does not fail.
                    let _written = write!(text, "{byte:02x}");
                }
            }
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_text_is_its_words() {
        for (text, words) in [
            ("team/redis-cache", "team redis cache"),
            ("Redis, a CACHE; redis!", "redis a cache"),
            ("zstd", "zzstd"),
            ("Größe", "grzc3b6zc39fe"),
            ("  ", ""),
            ("v1.27.3", "v1 27 3"),
        ] {
            assert_eq!(of(text), words, "{text}");
        }
    }

    #[test]
    fn a_question_without_words_finds_nothing() {
        assert_eq!(Question::new("!!").for_postgres(), "zx:*");
        assert_eq!(
            Question::new("a b").for_sqlite("name"),
            "{name} : (\"a\" * AND \"b\" *)"
        );
    }

    proptest! {
        /// Nothing of a question reaches a database but letters and digits.
        #[test]
        fn nobody_says_more_than_words(text in any::<String>()) {
            let question = Question::new(&text);
            for word in &question.0 {
                prop_assert!(!word.is_empty());
                prop_assert!(word.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit()));
            }
            prop_assert!(question.0.len() <= ASKED_WORDS);
        }

        #[test]
        fn the_beginning_of_a_word_finds_it(word in "\\w{1,20}", length in 1..20usize) {
            let part: String = word.chars().take(length).collect();
            let (whole, part) = (of(&word), of(&part));
            // Some letters are written as several, of which not all are letters.
            prop_assume!(!whole.contains(' ') && !part.contains(' '));
            prop_assert!(whole.starts_with(&part));
        }

        #[test]
        fn different_words_are_written_differently(one in "[a-zéß0-9]{1,8}", other in "[a-zéß0-9]{1,8}") {
            prop_assert_eq!(one == other, of(&one) == of(&other));
        }
    }
}
