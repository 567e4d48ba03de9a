//! How a program is treated among others: its share of the disk and of processors.

use oci_spec::runtime::{
    IOPriorityClass, LinuxPersonality, LinuxPersonalityDomain, LinuxSchedulerFlag,
    LinuxSchedulerPolicy, Process, Scheduler,
};

use crate::launch::StartFailure;
use crate::launch::error::Step;
use crate::sys::scheduling::{self, Personality, SchedulerAttributes};

/// Applies what `process` says; real-time classes need rights that are about to go.
pub(super) fn apply(process: &Process) -> Result<(), StartFailure> {
    if let Some(priority) = process.io_priority() {
        let class = match priority.class() {
            IOPriorityClass::IoprioClassRt => 1,
            IOPriorityClass::IoprioClassBe => 2,
            IOPriorityClass::IoprioClassIdle => 3,
        };
        let level = u8::try_from(priority.priority())
            .ok()
            .filter(|level| *level <= 7)
            .ok_or_else(|| {
                StartFailure::setup(format!(
                    "I/O priority {} is not between 0 and 7",
                    priority.priority()
                ))
            })?;
        scheduling::set_io_priority(class, level)
            .step(|| "cannot set the I/O priority".to_owned())?;
    }
    if let Some(scheduler) = process.scheduler() {
        scheduling::set_scheduler(attributes(scheduler)?)
            .step(|| format!("cannot set the scheduler {}", scheduler.policy()))?;
    }
    Ok(())
}

fn attributes(scheduler: &Scheduler) -> Result<SchedulerAttributes, StartFailure> {
    use LinuxSchedulerFlag as F;
    use LinuxSchedulerPolicy as P;

    // linux/sched.h
    let policy = match scheduler.policy() {
        P::SchedOther => 0,
        P::SchedFifo => 1,
        P::SchedRr => 2,
        P::SchedBatch => 3,
        P::SchedIso => return Err(StartFailure::setup("Linux has no scheduler SCHED_ISO")),
        P::SchedIdle => 5,
        P::SchedDeadline => 6,
    };
    let flags = scheduler.flags().iter().flatten().map(|flag| match flag {
        F::SchedResetOnFork => 0x01,
        F::SchedFlagReclaim => 0x02,
        F::SchedFlagDLOverrun => 0x04,
        F::SchedFlagKeepPolicy => 0x08,
        F::SchedFlagKeepParams => 0x10,
        F::SchedFlagUtilClampMin => 0x20,
        F::SchedFlagUtilClampMax => 0x40,
    });
    let mut attributes = SchedulerAttributes::default();
    attributes.policy = policy;
    attributes.flags = flags.fold(0, |bits, flag| bits | flag);
    attributes.nice = scheduler.nice().unwrap_or(0);
    attributes.priority = scheduler
        .priority()
        .map_or(Ok(0), u32::try_from)
        .map_err(|_| StartFailure::setup("a scheduler's priority is not negative"))?;
    attributes.runtime = scheduler.runtime().unwrap_or(0);
    attributes.deadline = scheduler.deadline().unwrap_or(0);
    attributes.period = scheduler.period().unwrap_or(0);
    Ok(attributes)
}

/// What kind of machine the program sees.
pub(super) fn become_machine(wanted: &LinuxPersonality) -> Result<(), StartFailure> {
    if wanted.flags().as_ref().is_some_and(|it| !it.is_empty()) {
        return Err(StartFailure::setup(
            "flags of a personality are not supported",
        ));
    }
    let personality = match wanted.domain() {
        LinuxPersonalityDomain::PerLinux => Personality::Linux,
        LinuxPersonalityDomain::PerLinux32 => Personality::Linux32,
    };
    scheduling::set_personality(personality).step(|| "cannot set the personality".to_owned())
}
