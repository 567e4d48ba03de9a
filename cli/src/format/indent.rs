//! JSON laid out for people, its keys in the order they came in.
//!
//! Works on the text: taking it apart into values would lose that order.

const INDENT: &str = "    ";

/// Lays out valid JSON text with four spaces, as `docker inspect` does.
pub(crate) fn indented(json: &str) -> String {
    let mut result = String::with_capacity(json.len() * 2);
    let mut depth = 0;
    let mut characters = json.chars().peekable();
    while let Some(character) = characters.next() {
        match character {
            '"' => {
                result.push('"');
                copy_string(&mut characters, &mut result);
            }
            '{' | '[' => {
                result.push(character);
                skip_blanks(&mut characters);
                if let Some(close @ ('}' | ']')) = characters.peek().copied() {
                    result.push(close);
                    characters.next();
                } else {
                    depth += 1;
                    new_line(&mut result, depth);
                }
            }
            '}' | ']' => {
                depth = depth.saturating_sub(1);
                new_line(&mut result, depth);
                result.push(character);
            }
            ',' => {
                result.push(',');
                new_line(&mut result, depth);
            }
            ':' => result.push_str(": "),
            blank if blank.is_ascii_whitespace() => {}
            other => result.push(other),
        }
    }
    result
}

type Characters<'a> = std::iter::Peekable<std::str::Chars<'a>>;

/// Copies the rest of a string, with its closing quote.
fn copy_string(characters: &mut Characters<'_>, result: &mut String) {
    while let Some(character) = characters.next() {
        result.push(character);
        match character {
            '"' => return,
            '\\' => result.extend(characters.next()),
            _ => {}
        }
    }
}

fn skip_blanks(characters: &mut Characters<'_>) {
    while characters.next_if(char::is_ascii_whitespace).is_some() {}
}

fn new_line(result: &mut String, depth: usize) {
    result.push('\n');
    result.extend(std::iter::repeat_n(INDENT, depth));
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::Value;

    #[test]
    fn layout() {
        assert_eq!(
            indented(r#"[{"b":1,"a":"x, {\"y\": 2}","c":[],"d":{ }}]"#),
            "[\n    {\n        \"b\": 1,\n        \"a\": \"x, {\\\"y\\\": 2}\",\n        \"c\": [],\n        \"d\": {}\n    }\n]"
        );
    }

    proptest! {
        #[test]
        fn the_value_stays_the_same(
            values in prop::collection::hash_map(".{0,8}", prop::collection::vec(".{0,8}", 0..3), 0..4)
        ) {
            let value = serde_json::json!(values);
            let read: Value = serde_json::from_str(&indented(&value.to_string())).unwrap();
            prop_assert_eq!(read, value);
        }

        #[test]
        fn never_panics(text in ".{0,40}") {
            let _ = indented(&text);
        }
    }
}
