//! The stream of pull, push, load and build: bars on a terminal, plain lines elsewhere.

use std::collections::HashMap;

use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde::Deserialize;

use crate::api::JsonLines;
use crate::failure::Failure;
use crate::terminal;

/// One object of the stream.
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct Line {
    pub(super) id: String,
    pub(super) status: String,
    pub(super) stream: String,
    progress_detail: Option<Detail>,
    error: String,
    error_detail: Option<ErrorDetail>,
    pub(super) aux: Option<serde_json::Value>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Detail {
    current: Option<u64>,
    total: Option<u64>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct ErrorDetail {
    code: i64,
    message: String,
}

impl Line {
    /// The failure this line tells of, if it does. A build's failure carries its exit code.
    fn failure(&self) -> Option<Failure> {
        let (code, message) = match &self.error_detail {
            Some(detail) if !detail.message.is_empty() => (detail.code, &detail.message),
            Some(detail) => (detail.code, &self.error),
            None if self.error.is_empty() => return None,
            None => (0, &self.error),
        };
        let code = u8::try_from(code)
            .ok()
            .filter(|code| *code != 0)
            .unwrap_or(1);
        Some(Failure::new(code, anyhow::Error::msg(message.clone())))
    }
}

/// Where progress is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Shown {
    Nowhere,
    StandardOutput,
    StandardError,
}

/// Reads the stream to its end, showing it; `each` sees every line.
pub(super) async fn follow(
    mut lines: JsonLines,
    shown: Shown,
    mut each: impl FnMut(&Line),
) -> Result<(), Failure> {
    let mut display = Display::new(shown);
    while let Some(line) = lines.next::<Line>().await? {
        if let Some(failure) = line.failure() {
            display.finish()?;
            return Err(failure);
        }
        each(&line);
        display.show(&line)?;
    }
    display.finish()?;
    Ok(())
}

enum Display {
    Silent,
    Lines { to_error: bool },
    Bars(Bars),
}

struct Bars {
    all: MultiProgress,
    by_id: HashMap<String, ProgressBar>,
    /// What is said once there are bars; it comes below them.
    closing: String,
    to_error: bool,
}

impl Display {
    fn new(shown: Shown) -> Self {
        use std::io::IsTerminal as _;
        let (is_terminal, target) = match shown {
            Shown::Nowhere => return Self::Silent,
            Shown::StandardOutput => (terminal::output_is_terminal(), ProgressDrawTarget::stdout()),
            Shown::StandardError => (
                std::io::stderr().is_terminal(),
                ProgressDrawTarget::stderr(),
            ),
        };
        if is_terminal {
            Self::Bars(Bars {
                all: MultiProgress::with_draw_target(target),
                by_id: HashMap::new(),
                closing: String::new(),
                to_error: shown == Shown::StandardError,
            })
        } else {
            Self::Lines {
                to_error: shown == Shown::StandardError,
            }
        }
    }

    fn show(&mut self, line: &Line) -> std::io::Result<()> {
        match self {
            Self::Silent => Ok(()),
            Self::Lines { to_error } => say(&plain(line), *to_error),
            Self::Bars(bars) => bars.show(line),
        }
    }

    fn finish(self) -> std::io::Result<()> {
        let Self::Bars(bars) = self else {
            return Ok(());
        };
        for bar in bars.by_id.values() {
            bar.abandon();
        }
        say(&bars.closing, bars.to_error)
    }
}

/// Writes text that ends with a newline, or none.
fn say(text: &str, to_error: bool) -> std::io::Result<()> {
    if !to_error {
        return crate::output::print(text);
    }
    if !text.is_empty() {
        crate::output::remark(text.trim_end_matches('\n'));
    }
    Ok(())
}

/// The line as it is printed where there is no terminal. Bars have no place there.
fn plain(line: &Line) -> String {
    if !line.stream.is_empty() {
        return line.stream.clone();
    }
    let moves = line
        .progress_detail
        .as_ref()
        .is_some_and(|detail| detail.current.is_some());
    if moves || line.status.is_empty() {
        return String::new();
    }
    if line.id.is_empty() {
        format!("{}\n", line.status)
    } else {
        format!("{}: {}\n", line.id, line.status)
    }
}

impl Bars {
    fn show(&mut self, line: &Line) -> std::io::Result<()> {
        if !line.stream.is_empty() {
            return self.all.println(line.stream.trim_end_matches('\n'));
        }
        if line.status.is_empty() {
            return Ok(());
        }
        // Without an id, or with a tag for one, a line is said once and does not move.
        if line.progress_detail.is_none() && !self.by_id.contains_key(&line.id) {
            if self.by_id.is_empty() {
                return self.all.println(plain(line).trim_end_matches('\n'));
            }
            self.closing.push_str(&plain(line));
            return Ok(());
        }
        let bar = self.by_id.entry(line.id.clone()).or_insert_with(|| {
            let bar = self.all.add(ProgressBar::no_length());
            bar.set_style(text_style());
            bar.set_prefix(line.id.clone());
            bar
        });
        bar.set_message(line.status.clone());
        match &line.progress_detail {
            Some(Detail {
                current: Some(current),
                total,
            }) => {
                if let Some(total) = total.filter(|total| *total > 0) {
                    bar.set_length(total);
                    bar.set_style(bar_style());
                }
                bar.set_position(*current);
            }
            _ => bar.set_style(text_style()),
        }
        bar.tick();
        Ok(())
    }
}

fn bar_style() -> ProgressStyle {
    ProgressStyle::with_template("{prefix}: {msg} [{bar:40}] {bytes}/{total_bytes}")
        .unwrap_or_else(|_| ProgressStyle::default_bar())
        .progress_chars("=> ")
}

fn text_style() -> ProgressStyle {
    ProgressStyle::with_template("{prefix}: {msg}").unwrap_or_else(|_| ProgressStyle::default_bar())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(json: &str) -> Line {
        serde_json::from_str(json).unwrap()
    }

    #[test]
    fn plain_lines() {
        let cases = [
            (
                r#"{"status":"Pulling from library/x","id":"latest"}"#,
                "latest: Pulling from library/x\n",
            ),
            (
                r#"{"status":"Pulling fs layer","progressDetail":{},"id":"0337"}"#,
                "0337: Pulling fs layer\n",
            ),
            (
                r#"{"status":"Downloading","progressDetail":{"current":1,"total":2},"id":"0337"}"#,
                "",
            ),
            (r#"{"status":"Digest: sha256:aa"}"#, "Digest: sha256:aa\n"),
            (r#"{"stream":"Step 1/2 : FROM x"}"#, "Step 1/2 : FROM x"),
            (r#"{"progressDetail":{},"aux":{"Tag":"1"}}"#, ""),
        ];
        for (json, expected) in cases {
            assert_eq!(plain(&line(json)), expected, "{json}");
        }
    }

    #[test]
    fn failures() {
        assert!(line(r#"{"status":"x"}"#).failure().is_none());
        assert!(line(r#"{"error":"no"}"#).failure().is_some());
        let failure = line(r#"{"errorDetail":{"code":3,"message":"no"},"error":"no"}"#).failure();
        assert_eq!(failure.unwrap().code(), 3);
    }
}
