//! `--filter key=value`.

use super::InvalidValue;

pub(crate) fn parse_filter(text: &str) -> Result<(String, String), InvalidValue> {
    let (key, value) = text
        .split_once('=')
        .ok_or_else(|| InvalidValue::new("bad format of filter (expected name=value)"))?;
    Ok((key.trim().to_lowercase(), value.trim().to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn filters() {
        let pair = |key: &str, value: &str| Ok((key.to_owned(), value.to_owned()));
        assert_eq!(parse_filter("label=a=b"), pair("label", "a=b"));
        assert_eq!(parse_filter(" Status = exited"), pair("status", "exited"));
        assert!(parse_filter("nothing").is_err());
    }
}
