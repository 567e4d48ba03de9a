//! `--restart no|always|unless-stopped|on-failure[:max]`.

use bollard_stubs::models::{RestartPolicy, RestartPolicyNameEnum};

use super::InvalidValue;

pub(crate) fn parse_restart(text: &str) -> Result<RestartPolicy, InvalidValue> {
    let (name, count) = match text.split_once(':') {
        Some((name, count)) => (name, Some(count)),
        None => (text, None),
    };
    let maximum_retry_count = match count {
        None => None,
        Some(count) => Some(count.parse::<i64>().map_err(|_| {
            InvalidValue::new(
                "invalid restart policy format: maximum retry count must be an integer",
            )
        })?),
    };
    let name = match name {
        "" | "no" => RestartPolicyNameEnum::NO,
        "always" => RestartPolicyNameEnum::ALWAYS,
        "unless-stopped" => RestartPolicyNameEnum::UNLESS_STOPPED,
        "on-failure" => RestartPolicyNameEnum::ON_FAILURE,
        _ => {
            return Err(InvalidValue::new(format!(
                "invalid restart policy: unknown policy '{name}'; use one of 'no', 'always', \
                 'on-failure', or 'unless-stopped'"
            )));
        }
    };
    if maximum_retry_count.is_some() && name != RestartPolicyNameEnum::ON_FAILURE {
        return Err(InvalidValue::new(
            "invalid restart policy: maximum retry count can only be used with 'on-failure'",
        ));
    }
    Ok(RestartPolicy {
        name: Some(name),
        maximum_retry_count,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn policies() {
        let policy = parse_restart("on-failure:3").unwrap();
        assert_eq!(policy.name, Some(RestartPolicyNameEnum::ON_FAILURE));
        assert_eq!(policy.maximum_retry_count, Some(3));
        for text in ["no", "always", "unless-stopped", "on-failure"] {
            assert!(parse_restart(text).is_ok(), "{text}");
        }
        for text in ["sometimes", "always:3", "on-failure:x"] {
            assert!(parse_restart(text).is_err(), "{text}");
        }
    }
}
