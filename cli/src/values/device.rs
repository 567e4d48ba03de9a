//! `--device` and the block device limits.

use bollard_stubs::models::{DeviceMapping, ResourcesBlkioWeightDevice, ThrottleDevice};

use super::{InvalidValue, parse_bytes};

const ALL_PERMISSIONS: &str = "rwm";

/// `/dev/host[:/dev/container][:rwm]`
pub(crate) fn parse_device(text: &str) -> Result<DeviceMapping, InvalidValue> {
    let invalid = || InvalidValue::new(format!("invalid device specification: {text}"));
    let is_permissions = |part: &str| !part.is_empty() && part.chars().all(|c| "rwm".contains(c));
    let parts: Vec<&str> = text.split(':').collect();
    let (host, container, permissions) = match parts[..] {
        [host] => (host, host, ALL_PERMISSIONS),
        [host, permissions] if is_permissions(permissions) => (host, host, permissions),
        [host, container] => (host, container, ALL_PERMISSIONS),
        [host, container, permissions] if is_permissions(permissions) => {
            (host, container, permissions)
        }
        _ => return Err(invalid()),
    };
    if host.is_empty() || !container.starts_with('/') {
        return Err(invalid());
    }
    Ok(DeviceMapping {
        path_on_host: Some(host.to_owned()),
        path_in_container: Some(container.to_owned()),
        cgroup_permissions: Some(permissions.to_owned()),
    })
}

/// `/dev/sda:10mb`
pub(crate) fn parse_rate_bytes(text: &str) -> Result<ThrottleDevice, InvalidValue> {
    let (path, rate) = device_and_value(text)?;
    Ok(ThrottleDevice {
        path: Some(path),
        rate: Some(parse_bytes(rate)?),
    })
}

/// `/dev/sda:1000`
pub(crate) fn parse_rate_operations(text: &str) -> Result<ThrottleDevice, InvalidValue> {
    let (path, rate) = device_and_value(text)?;
    let rate = rate
        .parse::<u32>()
        .map_err(|_| InvalidValue::new(format!("invalid rate for device: {text}")))?;
    Ok(ThrottleDevice {
        path: Some(path),
        rate: Some(i64::from(rate)),
    })
}

/// `/dev/sda:500`
pub(crate) fn parse_weight_device(text: &str) -> Result<ResourcesBlkioWeightDevice, InvalidValue> {
    let (path, weight) = device_and_value(text)?;
    match weight.parse::<u16>() {
        Ok(weight) if weight == 0 || (10..=1000).contains(&weight) => {
            Ok(ResourcesBlkioWeightDevice {
                path: Some(path),
                weight: Some(usize::from(weight)),
            })
        }
        _ => Err(InvalidValue::new(format!(
            "invalid weight for device: {text}"
        ))),
    }
}

fn device_and_value(text: &str) -> Result<(String, &str), InvalidValue> {
    match text.rsplit_once(':') {
        Some((path, value)) if path.starts_with("/dev/") => Ok((path.to_owned(), value)),
        _ => Err(InvalidValue::new(format!(
            "bad format for device path: {text}"
        ))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn devices() {
        let cases = [
            ("/dev/a", ("/dev/a", "/dev/a", "rwm")),
            ("/dev/a:/dev/b", ("/dev/a", "/dev/b", "rwm")),
            ("/dev/a:r", ("/dev/a", "/dev/a", "r")),
            ("/dev/a:/dev/b:rw", ("/dev/a", "/dev/b", "rw")),
        ];
        for (text, (host, container, permissions)) in cases {
            let device = parse_device(text).unwrap();
            assert_eq!(device.path_on_host.as_deref(), Some(host), "{text}");
            assert_eq!(device.path_in_container.as_deref(), Some(container));
            assert_eq!(device.cgroup_permissions.as_deref(), Some(permissions));
        }
        for text in ["", ":/dev/b", "/dev/a:b", "/dev/a:/dev/b:x", "a:/b:r:w"] {
            assert!(parse_device(text).is_err(), "{text}");
        }
    }

    #[test]
    fn limits() {
        assert_eq!(
            parse_rate_bytes("/dev/sda:1mb").unwrap().rate,
            Some(1 << 20)
        );
        assert_eq!(parse_rate_operations("/dev/sda:9").unwrap().rate, Some(9));
        assert!(parse_rate_bytes("sda:1mb").is_err());
        assert!(parse_rate_operations("/dev/sda:x").is_err());
        assert!(parse_weight_device("/dev/sda:5").is_err());
        assert!(parse_weight_device("/dev/sda:500").is_ok());
    }
}
