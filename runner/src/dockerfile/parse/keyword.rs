//! The first word of a line, and which one was meant.

use crate::dockerfile::DockerfileError;

/// Every instruction, for the one that was meant.
const KEYWORDS: [&str; 18] = [
    "ADD",
    "ARG",
    "CMD",
    "COPY",
    "ENTRYPOINT",
    "ENV",
    "EXPOSE",
    "FROM",
    "HEALTHCHECK",
    "LABEL",
    "MAINTAINER",
    "ONBUILD",
    "RUN",
    "SHELL",
    "STOPSIGNAL",
    "USER",
    "VOLUME",
    "WORKDIR",
];

/// The error for a first word that is no instruction, with the one that was likely meant.
pub(super) fn unknown(keyword: &str) -> DockerfileError {
    let near = KEYWORDS
        .iter()
        .map(|known| (distance(keyword, known), known))
        .min()
        .filter(|(distance, _)| *distance <= 2);
    DockerfileError::new(match near {
        Some((_, meant)) => format!("unknown instruction: {keyword} (did you mean {meant}?)"),
        None => format!("unknown instruction: {keyword}"),
    })
}

/// How many letters have to be put in, left out or changed.
fn distance(left: &str, right: &str) -> usize {
    let right: Vec<char> = right.chars().collect();
    let mut row: Vec<usize> = (0..=right.len()).collect();
    // Longer words are no misspelt keyword.
    for (n, l) in left.chars().take(32).enumerate() {
        let mut diagonal = row[0];
        row[0] = n + 1;
        for (m, r) in right.iter().enumerate() {
            let changed = diagonal + usize::from(l != *r);
            diagonal = row[m + 1];
            row[m + 1] = changed.min(row[m] + 1).min(diagonal + 1);
        }
    }
    row[right.len()]
}
