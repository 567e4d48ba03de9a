//! Physical lines to logical ones.

use super::DockerfileError;

/// The longest Dockerfile that is read, in bytes.
const MAX_BYTES: usize = 4 << 20;

/// An instruction's text, on one line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Logical {
    /// The first of its physical lines, counted from 1.
    pub(super) line: usize,
    pub(super) text: String,
    pub(super) here_documents: Vec<HereDocument>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct HereDocument {
    pub(super) name: String,
    /// The delimiter was not quoted.
    pub(super) expands: bool,
    /// `<<-`: leading tabs are taken away.
    pub(super) strips_tabs: bool,
    pub(super) content: String,
}

/// The logical lines, and the escape character that the file chose.
pub(super) fn logical_lines(text: &str) -> Result<(Vec<Logical>, char), DockerfileError> {
    if text.len() > MAX_BYTES {
        return Err(DockerfileError::new("the Dockerfile is too large"));
    }
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let escape = escape_directive(text)?;
    let mut lines = text.lines().enumerate();
    let mut logical = Vec::new();
    while let Some((number, first)) = lines.next() {
        if is_comment(first) || first.trim().is_empty() {
            continue;
        }
        let (mut text, mut goes_on) = without_escape(first.trim_start(), escape);
        while goes_on {
            let Some((_, next)) = lines.next() else {
                break;
            };
            // Comments and empty lines inside an instruction are no part of it.
            if is_comment(next) || next.trim().is_empty() {
                continue;
            }
            let (more, further) = without_escape(next, escape);
            text.push_str(&more);
            goes_on = further;
        }
        let line = number + 1;
        let mut here_documents = if takes_here_documents(&text) {
            here_documents_of(&text)
        } else {
            Vec::new()
        };
        for document in &mut here_documents {
            fill(document, &mut lines).map_err(|error| error.on_line(line))?;
        }
        logical.push(Logical {
            line,
            text: text.trim_end().to_owned(),
            here_documents,
        });
    }
    Ok((logical, escape))
}

fn is_comment(line: &str) -> bool {
    line.trim_start().starts_with('#')
}

/// The line without the escape at its end, and whether there was one.
fn without_escape(line: &str, escape: char) -> (String, bool) {
    let trimmed = line.trim_end_matches([' ', '\t', '\r']);
    match trimmed.strip_suffix(escape) {
        // Two of them are one that stands for itself.
        Some(before) if !before.ends_with(escape) => (before.to_owned(), true),
        _ => (line.trim_end_matches('\r').to_owned(), false),
    }
}

/// `# escape=` among the directives, which are comments before everything else.
fn escape_directive(text: &str) -> Result<char, DockerfileError> {
    for (number, line) in text.lines().enumerate() {
        let Some(comment) = line.trim().strip_prefix('#') else {
            break;
        };
        let Some((key, value)) = comment.split_once('=') else {
            break;
        };
        let key = key.trim();
        if key.is_empty() || !key.bytes().all(|b| b.is_ascii_alphanumeric()) {
            break;
        }
        if key.eq_ignore_ascii_case("escape") {
            return match value.trim() {
                "\\" => Ok('\\'),
                "`" => Ok('`'),
                other => Err(DockerfileError::new(format!(
                    "invalid ESCAPE '{other}'. Must be ` or \\"
                ))
                .on_line(number + 1)),
            };
        }
    }
    Ok('\\')
}

fn takes_here_documents(text: &str) -> bool {
    let keyword = text.split_whitespace().next().unwrap_or_default();
    ["RUN", "COPY", "ADD"]
        .iter()
        .any(|known| keyword.eq_ignore_ascii_case(known))
}

/// Every `<<NAME`, `<<-NAME`, `<<"NAME"` outside quotes.
fn here_documents_of(text: &str) -> Vec<HereDocument> {
    let mut found = Vec::new();
    for word in outside_quotes(text) {
        let Some(rest) = word.strip_prefix("<<") else {
            continue;
        };
        let (strips_tabs, rest) = match rest.strip_prefix('-') {
            Some(rest) => (true, rest),
            None => (false, rest),
        };
        let quoted = ['"', '\''].iter().find_map(|&quote| {
            let inner = rest.strip_prefix(quote)?;
            inner.strip_suffix(quote)
        });
        let name = quoted.unwrap_or(rest);
        let is_name = |c: char| c.is_alphanumeric() || matches!(c, '_' | '-' | '.');
        if name.is_empty() || !name.chars().all(is_name) {
            continue;
        }
        found.push(HereDocument {
            name: name.to_owned(),
            expands: quoted.is_none(),
            strips_tabs,
            content: String::new(),
        });
    }
    found
}

/// Words that do not begin inside quotes.
fn outside_quotes(text: &str) -> Vec<&str> {
    let mut words = Vec::new();
    let mut quote = None;
    let mut start = None;
    for (at, c) in text.char_indices() {
        if c.is_whitespace() && quote.is_none() {
            words.extend(start.take().map(|start: usize| &text[start..at]));
            continue;
        }
        start.get_or_insert(at);
        match quote {
            Some(open) if open == c => quote = None,
            None if matches!(c, '"' | '\'') => quote = Some(c),
            Some(_) | None => {}
        }
    }
    words.extend(start.map(|start| &text[start..]));
    words
}

fn fill<'t>(
    document: &mut HereDocument,
    lines: &mut impl Iterator<Item = (usize, &'t str)>,
) -> Result<(), DockerfileError> {
    for (_, line) in lines {
        let line = line.trim_end_matches('\r');
        let line = if document.strips_tabs {
            line.trim_start_matches('\t')
        } else {
            line
        };
        if line == document.name {
            return Ok(());
        }
        document.content.push_str(line);
        document.content.push('\n');
    }
    Err(DockerfileError::new(format!(
        "unterminated heredoc <<{}",
        document.name
    )))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(file: &str) -> Vec<String> {
        let (lines, _) = logical_lines(file).unwrap();
        lines.into_iter().map(|line| line.text).collect()
    }

    #[test]
    fn lines_are_joined_and_comments_left_out() {
        let file =
            "# comment\n\nFROM a\n  RUN one \\\n  # not this\n\n    two \\  \n three\nCMD x\\\\\n";
        let expected = ["FROM a", "RUN one     two  three", "CMD x\\\\"];
        assert_eq!(texts(file), expected);
        let (lines, _) = logical_lines(file).unwrap();
        assert_eq!(lines[1].line, 4);
        assert_eq!(
            texts("\u{feff}FROM a\r\nRUN b \\\r\n c\r\n"),
            ["FROM a", "RUN b  c"]
        );
    }

    #[test]
    fn the_escape_may_be_another() {
        let (lines, escape) = logical_lines("# syntax=x\n# escape=`\nRUN a `\nb").unwrap();
        assert_eq!((escape, lines[0].text.as_str()), ('`', "RUN a b"));
        // After a plain comment it is no directive any more.
        assert_eq!(logical_lines("# hello\n# escape=`\nRUN a").unwrap().1, '\\');
        let error = logical_lines("# escape=x\nRUN a").unwrap_err().to_string();
        assert!(error.contains("invalid ESCAPE 'x'"), "{error}");
    }

    #[test]
    fn here_documents_follow_their_line() {
        let file = "RUN <<EOF cat <<-\"B\" '<<no' \n$x\nEOF\n\ty\n\tB\nCMD z";
        let (lines, _) = logical_lines(file).unwrap();
        let documents = &lines[0].here_documents;
        assert_eq!(documents.len(), 2);
        assert_eq!(
            (documents[0].content.as_str(), documents[0].expands),
            ("$x\n", true)
        );
        assert_eq!(
            (documents[1].content.as_str(), documents[1].expands),
            ("y\n", false)
        );
        assert_eq!(lines[1].text, "CMD z");
        assert!(logical_lines("RUN <<EOF\nx").is_err());
        assert!(
            logical_lines("ENV A <<EOF").unwrap().0[0]
                .here_documents
                .is_empty()
        );
    }
}
