//! Which processors and memory nodes a container may ask for, in docker's words.

use std::collections::BTreeSet;

use crate::engine::EngineError;
use crate::spec::Resources;

/// No kernel is built for more processors.
const MAX_NUMBER: u32 = 8191;

/// A list of the kernel, as `0-3,7`: cpuset(7).
fn numbers(list: &str) -> Option<BTreeSet<u32>> {
    let number = |text: &str| {
        let number: Option<u32> = text.trim().parse().ok();
        number.filter(|number| *number <= MAX_NUMBER)
    };
    let mut all = BTreeSet::new();
    for part in list.trim().split(',').filter(|part| !part.is_empty()) {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        let (first, last) = (number(first)?, number(last)?);
        if first > last {
            return None;
        }
        all.extend(first..=last);
    }
    Some(all)
}

/// Refuses what this machine does not have.
pub(super) fn check(asked: &Resources) -> Result<(), EngineError> {
    let online = |what| {
        let path = format!("/sys/devices/system/{what}/online");
        std::fs::read_to_string(path).unwrap_or_else(|_| "0".to_owned())
    };
    available("CPUs", "cpus", &asked.cpuset_cpus, &online("cpu"))?;
    available("memory nodes", "mems", &asked.cpuset_mems, &online("node"))
}

fn available(what: &str, file: &str, asked: &str, online: &str) -> Result<(), EngineError> {
    let Some(wanted) = numbers(asked) else {
        return Err(EngineError::InvalidParameter(format!(
            "Invalid value {asked} for cpuset {file}"
        )));
    };
    if numbers(online).is_none_or(|online| wanted.is_subset(&online)) {
        return Ok(());
    }
    Err(EngineError::InvalidParameter(format!(
        "Requested {what} are not available - requested {asked}, available: {}",
        online.trim()
    )))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_are_read_as_the_kernel_writes_them() {
        let read = |text| numbers(text).map(|set| set.into_iter().collect::<Vec<_>>());
        assert_eq!(read("0-2,5\n"), Some(vec![0, 1, 2, 5]));
        assert_eq!(read(""), Some(vec![]));
        for bad in ["x", "3-1", "1-", "-1", "0-99999999"] {
            assert_eq!(read(bad), None, "{bad}");
        }
    }

    #[test]
    fn only_what_is_there_can_be_had() {
        let message = |asked| {
            available("CPUs", "cpus", asked, "0-1\n")
                .unwrap_err()
                .to_string()
        };
        assert!(available("CPUs", "cpus", "0-1", "0-1\n").is_ok());
        assert!(available("CPUs", "cpus", "", "0-1\n").is_ok());
        assert_eq!(
            message("1-2"),
            "Requested CPUs are not available - requested 1-2, available: 0-1"
        );
        assert_eq!(message("a"), "Invalid value a for cpuset cpus");
    }
}
