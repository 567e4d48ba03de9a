//! `--ulimit name=soft[:hard]`.

use bollard_stubs::models::ResourcesUlimits;

use super::InvalidValue;

const NAMES: [&str; 15] = [
    "core",
    "cpu",
    "data",
    "fsize",
    "locks",
    "memlock",
    "msgqueue",
    "nice",
    "nofile",
    "nproc",
    "rss",
    "rtprio",
    "rttime",
    "sigpending",
    "stack",
];

pub(crate) fn parse_ulimit(text: &str) -> Result<ResourcesUlimits, InvalidValue> {
    let invalid = || InvalidValue::new(format!("invalid ulimit argument: {text}"));
    let (name, limits) = text.split_once('=').ok_or_else(invalid)?;
    if !NAMES.contains(&name) {
        return Err(InvalidValue::new(format!("invalid ulimit type: {name}")));
    }
    let (soft, hard) = limits.split_once(':').unwrap_or((limits, limits));
    let number = |text: &str| match text {
        "unlimited" => Ok(-1),
        _ => text.parse::<i64>().map_err(|_| invalid()),
    };
    let (soft, hard) = (number(soft)?, number(hard)?);
    // -1 is "unlimited", which is above every number.
    if hard != -1 && (soft == -1 || soft > hard) {
        return Err(InvalidValue::new(format!(
            "ulimit soft limit must be less than or equal to hard limit: {soft} > {hard}"
        )));
    }
    Ok(ResourcesUlimits {
        name: Some(name.to_owned()),
        soft: Some(soft),
        hard: Some(hard),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ulimits() {
        let cases = [
            ("nofile=1024", (1024, 1024)),
            ("nofile=512:1024", (512, 1024)),
            ("core=0:-1", (0, -1)),
            ("memlock=unlimited", (-1, -1)),
        ];
        for (text, (soft, hard)) in cases {
            let limit = parse_ulimit(text).unwrap();
            assert_eq!((limit.soft, limit.hard), (Some(soft), Some(hard)), "{text}");
        }
        for text in [
            "nofile",
            "files=1",
            "nofile=a",
            "nofile=2:1",
            "nofile=-1:5",
            "nofile=1:2:3",
        ] {
            assert!(parse_ulimit(text).is_err(), "{text}");
        }
    }
}
