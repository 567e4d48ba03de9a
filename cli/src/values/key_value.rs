//! `KEY=value` in its three uses: environment, labels, and option maps; and files of them.

use std::collections::HashMap;
use std::path::PathBuf;

use anyhow::Context as _;

use super::InvalidValue;

/// The environment of a container: first the files, then the flags, so that a flag wins.
///
/// A bare `KEY` takes the value this process has, and is left out when it has none.
/// `variable` reads that environment; it is a parameter so that tests need not change it.
pub(crate) fn environment(
    files: &[PathBuf],
    said: &[String],
    variable: impl Fn(&str) -> Option<String>,
) -> anyhow::Result<Vec<String>> {
    let mut result = Vec::new();
    for line in lines_of(files)?.iter().chain(said) {
        let (key, value) = match line.split_once('=') {
            Some((key, value)) => (key, Some(value.to_owned())),
            None => (line.as_str(), variable(line)),
        };
        if key.is_empty() {
            return Err(InvalidValue::new(format!("invalid environment variable: {line}")).into());
        }
        if let Some(value) = value {
            result.push(format!("{key}={value}"));
        }
    }
    Ok(result)
}

/// Labels: first the files, then the flags. A bare `KEY` is an empty label.
pub(crate) fn labels(
    files: &[PathBuf],
    said: &[String],
) -> anyhow::Result<HashMap<String, String>> {
    let mut result = HashMap::new();
    for line in lines_of(files)?.iter().chain(said) {
        let (key, value) = line.split_once('=').unwrap_or((line, ""));
        if key.is_empty() {
            return Err(InvalidValue::new(format!("invalid label '{line}': empty name")).into());
        }
        result.insert(key.to_owned(), value.to_owned());
    }
    Ok(result)
}

/// `KEY=value` pairs where both halves are needed, such as `--sysctl` and `--log-opt`.
pub(crate) fn pairs(flag: &str, said: &[String]) -> Result<HashMap<String, String>, InvalidValue> {
    said.iter()
        .map(|text| match text.split_once('=') {
            Some((key, value)) if !key.is_empty() => Ok((key.to_owned(), value.to_owned())),
            _ => Err(InvalidValue::new(format!(
                "invalid value \"{text}\" for --{flag}: it must be KEY=VALUE"
            ))),
        })
        .collect()
}

/// The lines of all the files, without blank ones and comments.
fn lines_of(files: &[PathBuf]) -> anyhow::Result<Vec<String>> {
    let mut lines = Vec::new();
    for path in files {
        let text =
            std::fs::read_to_string(path).with_context(|| format!("open {}", path.display()))?;
        // A byte order mark is what some editors leave; it is no part of the first name.
        for line in text.strip_prefix('\u{feff}').unwrap_or(&text).lines() {
            let line = line.trim_start();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let key = line.split_once('=').map_or(line, |(key, _)| key);
            if key.contains(char::is_whitespace) {
                return Err(InvalidValue::new(format!(
                    "invalid env file ({}): variable '{key}' contains whitespaces",
                    path.display()
                ))
                .into());
            }
            lines.push(line.to_owned());
        }
    }
    Ok(lines)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flag_comes_after_the_files() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(
            file.path(),
            "\u{feff}# comment\n\nA=1\n  B=with space \nHOME\nUNSET\n",
        )
        .unwrap();
        let variable = |name: &str| (name == "HOME").then(|| "/root".to_owned());
        let found = environment(
            &[file.path().to_owned()],
            &["A=2".to_owned(), "C=x=y".to_owned()],
            variable,
        )
        .unwrap();
        assert_eq!(
            found,
            ["A=1", "B=with space ", "HOME=/root", "A=2", "C=x=y"]
        );
    }

    #[test]
    fn labels_may_be_bare() {
        let found = labels(&[], &["a".to_owned(), "b=c=d".to_owned()]).unwrap();
        assert_eq!(found["a"], "");
        assert_eq!(found["b"], "c=d");
    }

    #[test]
    fn mistakes_are_told() {
        assert!(environment(&[], &["=x".to_owned()], |_| None).is_err());
        assert!(labels(&[], &["=x".to_owned()]).is_err());
        assert!(pairs("sysctl", &["net.x".to_owned()]).is_err());
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), "A B=1\n").unwrap();
        assert!(environment(&[file.path().to_owned()], &[], |_| None).is_err());
        assert!(environment(&["/nonexistent".into()], &[], |_| None).is_err());
    }
}
