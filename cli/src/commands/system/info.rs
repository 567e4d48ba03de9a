//! `hythe info`.

use std::fmt::Write as _;

use clap::Args;
use serde_json::Value;

use crate::api::{Api, Call};
use crate::failure::Outcome;
use crate::format::{Template, binary_size, template_data};
use crate::output;

#[derive(Debug, Args)]
pub(crate) struct InfoArguments {
    /// json, or a Go template
    #[arg(long, short, value_name = "FORMAT")]
    format: Option<String>,
}

pub(super) async fn run(api: &Api, arguments: &InfoArguments) -> Outcome {
    let template = match arguments.format.as_deref() {
        None | Some("") => None,
        Some("json") => Some(Template::parse("{{json .}}")?),
        Some(format) => Some(Template::parse(format)?),
    };
    let info: Value = api.json(Call::get("/info")).await?;
    let text = match template {
        Some(template) => template.render(&template_data(&info))? + "\n",
        None => overview(&info),
    };
    output::print(&text)?;
    for warning in strings(&info, "Warnings") {
        output::remark(warning);
    }
    Ok(0)
}

/// What is shown, in docker's order and words: a heading and where its value is.
const LINES: &[(&str, &str)] = &[
    ("Containers", "Containers"),
    (" Running", "ContainersRunning"),
    (" Paused", "ContainersPaused"),
    (" Stopped", "ContainersStopped"),
    ("Images", "Images"),
    ("Server Version", "ServerVersion"),
    ("Storage Driver", "Driver"),
    ("Logging Driver", "LoggingDriver"),
    ("Cgroup Driver", "CgroupDriver"),
    ("Cgroup Version", "CgroupVersion"),
    ("Default Runtime", "DefaultRuntime"),
    ("Kernel Version", "KernelVersion"),
    ("Operating System", "OperatingSystem"),
    ("OSType", "OSType"),
    ("Architecture", "Architecture"),
    ("CPUs", "NCPU"),
    ("Total Memory", "MemTotal"),
    ("Name", "Name"),
    ("ID", "ID"),
    ("Docker Root Dir", "DockerRootDir"),
    ("Debug Mode", "Debug"),
    ("Live Restore Enabled", "LiveRestoreEnabled"),
];

fn overview(info: &Value) -> String {
    let mut text = String::new();
    for (heading, key) in LINES {
        let shown = match info.get(key) {
            None | Some(Value::Null) => continue,
            Some(Value::String(value)) if value.is_empty() => continue,
            Some(Value::String(value)) => value.clone(),
            Some(value) if *key == "MemTotal" => binary_size(value.as_u64().unwrap_or(0)),
            Some(value) => value.to_string(),
        };
        _ = writeln!(text, "{heading}: {shown}");
    }
    for (heading, key) in [
        ("Security Options", "SecurityOptions"),
        ("Labels", "Labels"),
    ] {
        let values = strings(info, key);
        if !values.is_empty() {
            _ = writeln!(text, "{heading}:");
            for value in values {
                _ = writeln!(text, " {value}");
            }
        }
    }
    text
}

fn strings<'a>(info: &'a Value, key: &str) -> Vec<&'a str> {
    info.get(key)
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .collect()
}
