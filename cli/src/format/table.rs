//! Columns of text, aligned as docker aligns them: three apart, the last one as it is.

/// What columns of lists are wide at least.
pub(crate) const LIST_WIDTH: usize = 10;
const PADDING: usize = 3;

/// Turns tab-separated lines into aligned ones of at least `min_width` characters a column. Every line ends with a newline.
pub(crate) fn align(text: &str, min_width: usize) -> String {
    let rows: Vec<Vec<&str>> = text
        .lines()
        .map(|line| line.split('\t').collect())
        .collect();
    let n_columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let mut widths = vec![min_width; n_columns];
    for row in &rows {
        // A row's last cell ends no column.
        for (width, cell) in widths.iter_mut().zip(&row[..row.len() - 1]) {
            *width = (*width).max(cell.chars().count() + PADDING);
        }
    }
    let mut aligned = String::with_capacity(text.len() * 2);
    for row in &rows {
        for (index, cell) in row.iter().enumerate() {
            aligned.push_str(cell);
            if index + 1 < row.len() {
                let blanks = widths[index] - cell.chars().count();
                aligned.extend(std::iter::repeat_n(' ', blanks));
            }
        }
        aligned.push('\n');
    }
    aligned
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns() {
        assert_eq!(
            align(
                "CONTAINER ID\tIMAGE\tNAMES\n0123456789ab\tü\tweb",
                LIST_WIDTH
            ),
            "CONTAINER ID   IMAGE     NAMES\n0123456789ab   ü         web\n"
        );
        assert_eq!(align("", LIST_WIDTH), "");
        assert_eq!(align("only", LIST_WIDTH), "only\n");
        assert_eq!(align("a\tb\nc", LIST_WIDTH), "a         b\nc\n");
    }
}
