//! `hythe build`.

use std::path::PathBuf;

use anyhow::Context as _;
use bollard_stubs::models::ResourcesUlimits;
use clap::Args;

use super::context::BuildContext;
use super::progress::{self, Shown};
use crate::api::{Api, Call};
use crate::credentials;
use crate::failure::Outcome;
use crate::output;
use crate::values;

#[derive(Debug, Args)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a switch of the command line"
)]
pub(crate) struct BuildArguments {
    /// Name of the image
    #[arg(long, short, value_name = "NAME[:TAG]")]
    tag: Vec<String>,
    /// Path of the Dockerfile, or - for standard input
    #[arg(long, short, value_name = "FILE")]
    file: Option<String>,
    /// Set a variable that the Dockerfile declares with ARG
    #[arg(long, value_name = "KEY[=VALUE]")]
    build_arg: Vec<String>,
    /// Stage to build
    #[arg(long, value_name = "STAGE")]
    target: Option<String>,
    /// Set a label
    #[arg(long, value_name = "KEY[=VALUE]")]
    label: Vec<String>,
    /// Platform of the image
    #[arg(long, env = "DOCKER_DEFAULT_PLATFORM", value_name = "OS/ARCH")]
    platform: Option<String>,
    /// Do not use the cache
    #[arg(long)]
    no_cache: bool,
    /// Images whose layers may be used as cache
    #[arg(long, value_name = "IMAGE")]
    cache_from: Vec<String>,
    /// Always look for a newer base image
    #[arg(long)]
    pull: bool,
    /// Print the image's ID only
    #[arg(long, short)]
    quiet: bool,
    /// Write the image's ID to a file
    #[arg(long, value_name = "FILE")]
    iidfile: Option<PathBuf>,
    /// Remove intermediate containers after a build that went well
    #[arg(long, value_name = "BOOL", default_value_t = true, num_args = 0..=1, require_equals = true, default_missing_value = "true", action = clap::ArgAction::Set)]
    rm: bool,
    /// Always remove intermediate containers
    #[arg(long)]
    force_rm: bool,
    #[command(flatten)]
    containers: BuildContainerOptions,
    /// Folder, URL, or - for a Dockerfile or an archive on standard input
    #[arg(value_name = "PATH|URL|-")]
    context: String,
}

/// What the containers of a build may do.
#[derive(Debug, Args)]
struct BuildContainerOptions {
    /// Network of RUN instructions
    #[arg(long, value_name = "NETWORK")]
    network: Option<String>,
    /// Add a name to /etc/hosts: NAME:ADDRESS
    #[arg(long, value_name = "NAME:ADDRESS")]
    add_host: Vec<String>,
    /// Memory limit
    #[arg(long, short, value_name = "SIZE", value_parser = values::parse_bytes)]
    memory: Option<i64>,
    /// Limit of memory and swap together; -1 for unlimited swap
    #[arg(long, value_name = "SIZE", allow_hyphen_values = true, value_parser = values::parse_bytes_or_unlimited)]
    memory_swap: Option<i64>,
    /// CPU shares (relative weight)
    #[arg(long, short = 'c', value_name = "N")]
    cpu_shares: Option<i64>,
    /// Length of a CPU period in microseconds
    #[arg(long, value_name = "N")]
    cpu_period: Option<i64>,
    /// CPU time in a period in microseconds
    #[arg(long, value_name = "N", allow_negative_numbers = true)]
    cpu_quota: Option<i64>,
    /// CPUs to run on, such as 0-3 or 0,1
    #[arg(long, value_name = "LIST")]
    cpuset_cpus: Option<String>,
    /// Memory nodes to use
    #[arg(long, value_name = "LIST")]
    cpuset_mems: Option<String>,
    /// Size of /dev/shm
    #[arg(long, value_name = "SIZE", value_parser = values::parse_bytes)]
    shm_size: Option<i64>,
    /// Limit of a process: `NAME=SOFT[:HARD]`
    #[arg(long, value_name = "LIMIT", value_parser = values::parse_ulimit)]
    ulimit: Vec<ResourcesUlimits>,
    /// cgroup that holds the containers'
    #[arg(long, value_name = "PATH")]
    cgroup_parent: Option<String>,
}

pub(super) async fn run(api: &Api, arguments: &BuildArguments) -> Outcome {
    let context = BuildContext::resolve(&arguments.context, arguments.file.as_deref())?;
    let call = call(arguments, &context)?;
    let (stream, packed) = context.into_stream();
    let sent = api
        .json_lines(call.stream("application/x-tar", stream))
        .await;
    let lines = match packed {
        Some(packed) => packed.after(sent).await?.0,
        None => sent?,
    };
    let mut image = None;
    let mut last = String::new();
    let shown = if arguments.quiet {
        Shown::Nowhere
    } else {
        Shown::StandardOutput
    };
    progress::follow(lines, shown, |line| {
        let id = line.aux.as_ref().and_then(|aux| aux.get("ID"));
        if let Some(id) = id.and_then(|id| id.as_str()) {
            image = Some(id.to_owned());
        }
        if !line.stream.trim().is_empty() {
            line.stream.trim().clone_into(&mut last);
        }
    })
    .await?;
    // A quiet build says the id and nothing else.
    let image = image.or_else(|| last.starts_with("sha256:").then_some(last));
    if arguments.quiet
        && let Some(image) = &image
    {
        output::line(image)?;
    }
    if let Some(path) = &arguments.iidfile {
        let image = image.context("the agent did not say which image it built")?;
        std::fs::write(path, image).with_context(|| format!("cannot write {}", path.display()))?;
    }
    Ok(0)
}

fn call(arguments: &BuildArguments, context: &BuildContext) -> anyhow::Result<Call> {
    let containers = &arguments.containers;
    let mut call = Call::post("/build")
        .query("version", "1")
        .query_option("dockerfile", context.dockerfile(arguments.file.as_deref()))
        .query_option("remote", context.remote())
        .query_option("target", arguments.target.as_ref())
        .query_option("platform", arguments.platform.as_ref())
        .flag("nocache", arguments.no_cache)
        .flag("pull", arguments.pull)
        .flag("q", arguments.quiet)
        .query("rm", if arguments.rm { "1" } else { "0" })
        .flag("forcerm", arguments.force_rm)
        .query_option("networkmode", containers.network.as_ref())
        .query_option("memory", containers.memory)
        .query_option("memswap", containers.memory_swap)
        .query_option("cpushares", containers.cpu_shares)
        .query_option("cpuperiod", containers.cpu_period)
        .query_option("cpuquota", containers.cpu_quota)
        .query_option("cpusetcpus", containers.cpuset_cpus.as_ref())
        .query_option("cpusetmems", containers.cpuset_mems.as_ref())
        .query_option("shmsize", containers.shm_size)
        .query_option("cgroupparent", containers.cgroup_parent.as_ref());
    for tag in &arguments.tag {
        call = call.query("t", tag);
    }
    for host in &containers.add_host {
        call = call.query("extrahosts", host);
    }
    if !arguments.build_arg.is_empty() {
        call = call.query(
            "buildargs",
            build_arguments(&arguments.build_arg).to_string(),
        );
    }
    if !arguments.label.is_empty() {
        let labels = values::labels(&[], &arguments.label)?;
        call = call.query("labels", serde_json::to_string(&labels)?);
    }
    if !arguments.cache_from.is_empty() {
        call = call.query("cachefrom", serde_json::to_string(&arguments.cache_from)?);
    }
    if !containers.ulimit.is_empty() {
        call = call.query("ulimits", serde_json::to_string(&containers.ulimit)?);
    }
    Ok(call.header("x-registry-config", credentials::header_for_all()?))
}

/// `KEY=VALUE`, or `KEY` for the value it has here; null says that it has none.
fn build_arguments(said: &[String]) -> serde_json::Value {
    said.iter()
        .map(|text| match text.split_once('=') {
            Some((key, value)) => (key.to_owned(), value.into()),
            None => (text.clone(), std::env::var(text).ok().into()),
        })
        .collect::<serde_json::Map<_, _>>()
        .into()
}
