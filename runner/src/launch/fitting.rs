//! Fits a specification to what this machine lets us do, and says what had to be left out.

use std::fs;

use oci_spec::runtime::{
    Capabilities, Capability, LinuxResources, PosixRlimitBuilder, Process, Spec,
};

use super::capability::{self, BY_NUMBER, short_name};
use super::init::resource_number;
use super::{Cgroup, LaunchError};
use crate::sys::credentials;

/// Takes out of `spec` what would make its start fail here; one sentence for each such thing.
pub(super) fn fit(spec: &mut Spec) -> Result<Vec<String>, LaunchError> {
    let mut warnings = Vec::new();
    if let Some(process) = spec.process_mut() {
        fit_capabilities(process, &mut warnings)?;
    }
    check_apparmor(spec)?;
    fit_limits(spec, &mut warnings)?;
    fit_oom_score(spec, &mut warnings);
    fit_memory(spec, &mut warnings);
    fit_block_io(spec, &mut warnings);
    let process = spec.process().as_ref();
    if process.is_some_and(|it| it.selinux_label().as_ref().is_some_and(|it| !it.is_empty())) {
        warnings.push("SELinux labels are not supported and were ignored.".to_owned());
    }
    Ok(warnings)
}

/// A profile that nobody enforces must not pass for one.
fn check_apparmor(spec: &Spec) -> Result<(), LaunchError> {
    let process = spec.process().as_ref();
    let profile = process.and_then(|process| process.apparmor_profile().as_deref());
    let enabled = || {
        fs::read_to_string("/sys/module/apparmor/parameters/enabled")
            .is_ok_and(|text| text.starts_with('Y'))
    };
    match profile {
        None | Some("" | "unconfined") => Ok(()),
        Some(_) if enabled() => Ok(()),
        Some(profile) => Err(LaunchError::InvalidBundle(format!(
            "AppArmor is not enabled on this machine, so that the profile {profile} cannot be \
             applied"
        ))),
    }
}

fn system(action: &'static str) -> impl Fn(std::io::Error) -> LaunchError {
    move |source| LaunchError::System { action, source }
}

/// Nobody can give what is not in its own bounding set.
pub(super) fn fit_capabilities(
    process: &mut Process,
    warnings: &mut Vec<String>,
) -> Result<(), LaunchError> {
    let own = credentials::capabilities().map_err(system("read our capabilities"))?;
    let available: Capabilities = (0..)
        .zip(BY_NUMBER)
        .filter(|(number, _)| {
            own.permitted.contains(*number) && credentials::is_bounding(*number) == Some(true)
        })
        .map(|(_, capability)| capability)
        .collect();
    let Some(mut sets) = process.capabilities().clone() else {
        return Ok(());
    };
    let wanted = capability::bits(sets.bounding().as_ref());
    let missing: Vec<String> = (0..)
        .zip(BY_NUMBER)
        .filter(|(number, it)| wanted.contains(*number) && !available.contains(it))
        .map(|(_, it): (u32, Capability)| format!("CAP_{}", short_name(it)))
        .collect();
    if missing.is_empty() {
        return Ok(());
    }
    let keep = |set: &Option<Capabilities>| {
        set.as_ref().map(|set| {
            set.intersection(&available)
                .copied()
                .collect::<Capabilities>()
        })
    };
    let bounding = keep(sets.bounding());
    let effective = keep(sets.effective());
    let permitted = keep(sets.permitted());
    let inheritable = keep(sets.inheritable());
    let ambient = keep(sets.ambient());
    sets.set_bounding(bounding);
    sets.set_effective(effective);
    sets.set_permitted(permitted);
    sets.set_inheritable(inheritable);
    sets.set_ambient(ambient);
    process.set_capabilities(Some(sets));
    warnings.push(format!(
        "This machine does not let us give the capabilities {}; they were left out.",
        missing.join(", ")
    ));
    Ok(())
}

fn may_raise_limits() -> bool {
    let number = (0..)
        .zip(BY_NUMBER)
        .find(|(_, it)| *it == Capability::SysResource)
        .map_or(0, |(number, _)| number);
    credentials::capabilities().is_ok_and(|own| own.effective.contains(number))
}

fn fit_limits(spec: &mut Spec, warnings: &mut Vec<String>) -> Result<(), LaunchError> {
    let Some(process) = spec.process_mut() else {
        return Ok(());
    };
    let Some(mut limits) = process.rlimits().clone() else {
        return Ok(());
    };
    if may_raise_limits() {
        return Ok(());
    }
    for limit in &mut limits {
        let own = credentials::limit(resource_number(limit.typ()))
            .map_err(system("read our resource limits"))?;
        if limit.hard() > own.hard {
            let kind = limit.typ();
            // The builder knows a default for each field and so never fails.
            *limit = PosixRlimitBuilder::default()
                .typ(kind)
                .hard(own.hard)
                .soft(limit.soft().min(own.hard))
                .build()
                .unwrap_or_default();
            warnings.push(format!(
                "{} cannot be above {} here; it was lowered to that.",
                kind, own.hard
            ));
        }
    }
    process.set_rlimits(Some(limits));
    Ok(())
}

fn fit_oom_score(spec: &Spec, warnings: &mut Vec<String>) {
    let wanted = spec
        .process()
        .as_ref()
        .and_then(oci_spec::runtime::Process::oom_score_adj);
    let own = fs::read_to_string("/proc/self/oom_score_adj").unwrap_or_default();
    let own: i32 = own.trim().parse().unwrap_or(0);
    if wanted.is_some_and(|wanted| wanted < own) && !may_raise_limits() {
        warnings.push(format!(
            "The OOM score cannot be lowered below {own} here; it stays there."
        ));
    }
}

/// In the words of dockerd, which tools look for.
fn fit_memory(spec: &mut Spec, warnings: &mut Vec<String>) {
    let Some(memory) = resources(spec).and_then(|it| it.memory_mut().as_mut()) else {
        return;
    };
    let limits_swap =
        memory.limit().is_some_and(|limit| limit > 0) && memory.swap().is_some_and(|swap| swap > 0);
    if limits_swap && !Cgroup::counts_swap() {
        warnings.push(
            "Your kernel does not support swap limit capabilities or the cgroup is not mounted. \
             Memory limited without swap."
                .to_owned(),
        );
    }
    if Cgroup::tunes_memory() {
        return;
    }
    if memory.swappiness().is_some() {
        memory.set_swappiness(None);
        warnings.push(
            "Your kernel does not support memory swappiness capabilities or the cgroup is not \
             mounted. Memory swappiness discarded."
                .to_owned(),
        );
    }
    if memory.disable_oom_killer() == Some(true) {
        memory.set_disable_oom_killer(None);
        warnings.push(
            "Your kernel does not support OomKillDisable. OomKillDisable discarded.".to_owned(),
        );
    }
}

fn fit_block_io(spec: &mut Spec, warnings: &mut Vec<String>) {
    let Some(block_io) = resources(spec).and_then(|it| it.block_io_mut().as_mut()) else {
        return;
    };
    let weight = block_io.weight().is_some();
    let weight_device = block_io.weight_device().is_some();
    if !(weight || weight_device) || Cgroup::weighs_block_io() {
        return;
    }
    for (wanted, what, discarded) in [
        (weight, "weight", "Weight"),
        (weight_device, "weight_device", "Weight-device"),
    ] {
        if wanted {
            warnings.push(format!(
                "Your kernel does not support Block I/O {what} or the cgroup is not mounted. \
                 {discarded} discarded."
            ));
        }
    }
    block_io.set_weight(None).set_weight_device(None);
}

fn resources(spec: &mut Spec) -> Option<&mut LinuxResources> {
    let linux = spec.linux_mut().as_mut()?;
    linux.resources_mut().as_mut()
}
