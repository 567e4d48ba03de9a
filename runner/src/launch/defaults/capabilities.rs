//! Which capabilities a container has, capabilities(7).

use oci_spec::runtime::{Capabilities, Capability};

use crate::launch::capability::{BY_NUMBER, short_name};

/// The set of `--privileged`.
pub const ALL_CAPABILITIES: [Capability; 41] = BY_NUMBER;

const DEFAULT: [Capability; 14] = [
    Capability::AuditWrite,
    Capability::Chown,
    Capability::DacOverride,
    Capability::Fowner,
    Capability::Fsetid,
    Capability::Kill,
    Capability::Mknod,
    Capability::NetBindService,
    Capability::NetRaw,
    Capability::Setfcap,
    Capability::Setgid,
    Capability::Setpcap,
    Capability::Setuid,
    Capability::SysChroot,
];

/// A name that no kernel knows.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("invalid capability: unknown capability: \"{0}\"")]
pub struct CapabilityNameError(pub String);

/// What one word of `--cap-add` or `--cap-drop` means.
enum Word {
    All,
    One(Capability),
}

/// Docker's default set with `--cap-add` and `--cap-drop` applied; names with or without
/// `CAP_`, in any case, or `ALL`.
///
/// Use it for bounding, effective and permitted; inheritable and ambient stay empty.
pub fn capabilities(add: &[String], drop: &[String]) -> Result<Capabilities, CapabilityNameError> {
    let (add_all, added) = parse(add)?;
    let (drop_all, dropped) = parse(drop)?;
    // `--cap-drop ALL --cap-add X` is X alone: what is added by name beats what goes wholesale.
    let base: Vec<Capability> = if add_all {
        ALL_CAPABILITIES.to_vec()
    } else if drop_all {
        Vec::new()
    } else {
        DEFAULT.to_vec()
    };
    let mut set: Capabilities = base
        .into_iter()
        .filter(|it| !dropped.contains(it))
        .collect();
    set.extend(added);
    Ok(set)
}

fn parse(names: &[String]) -> Result<(bool, Vec<Capability>), CapabilityNameError> {
    let mut all = false;
    let mut listed = Vec::new();
    for name in names {
        match word(name)? {
            Word::All => all = true,
            Word::One(capability) => listed.push(capability),
        }
    }
    Ok((all, listed))
}

fn word(name: &str) -> Result<Word, CapabilityNameError> {
    let upper = name.trim().to_ascii_uppercase();
    let short = upper.strip_prefix("CAP_").unwrap_or(&upper);
    if short == "ALL" {
        return Ok(Word::All);
    }
    BY_NUMBER
        .into_iter()
        .find(|capability| short_name(*capability) == short)
        .map(Word::One)
        .ok_or_else(|| CapabilityNameError(format!("CAP_{short}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(add: &[&str], drop: &[&str]) -> Capabilities {
        let own = |names: &[&str]| names.iter().map(ToString::to_string).collect::<Vec<_>>();
        capabilities(&own(add), &own(drop)).unwrap()
    }

    #[test]
    fn names_in_any_form_add_and_drop() {
        assert_eq!(set(&[], &[]).len(), 14);
        assert!(set(&["net_admin"], &[]).contains(&Capability::NetAdmin));
        assert!(set(&["CAP_NET_ADMIN"], &[]).contains(&Capability::NetAdmin));
        assert!(!set(&[], &["Chown"]).contains(&Capability::Chown));
        assert_eq!(set(&["ALL"], &["MKNOD"]).len(), 40);
        assert_eq!(set(&["CHOWN"], &["all"]), [Capability::Chown].into());
        assert!(set(&[], &["ALL"]).is_empty());
    }

    #[test]
    fn unknown_names_are_refused_as_docker_does() {
        let error = capabilities(&["BOGUS".to_owned()], &[]).unwrap_err();
        assert_eq!(
            error.to_string(),
            "invalid capability: unknown capability: \"CAP_BOGUS\""
        );
    }
}
