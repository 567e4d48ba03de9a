//! `hythe version`.

use std::fmt::Write as _;

use clap::Args;
use serde_json::{Value, json};

use crate::api::{Api, Call};
use crate::failure::{Failure, Outcome, say};
use crate::format::{Template, template_data};
use crate::output;

#[derive(Debug, Args)]
pub(crate) struct VersionArguments {
    /// json, or a Go template
    #[arg(long, short, value_name = "FORMAT")]
    format: Option<String>,
}

pub(super) async fn run(api: &Api, arguments: &VersionArguments) -> Outcome {
    let template = match arguments.format.as_deref() {
        None | Some("") => None,
        Some("json") => Some(Template::parse("{{json .}}")?),
        Some(format) => Some(Template::parse(format)?),
    };
    let client = json!({
        "Version": env!("CARGO_PKG_VERSION"),
        "Os": std::env::consts::OS,
        "Arch": go_architecture(),
    });
    // The client's own version is worth saying even when there is no agent.
    let (server, error) = match api.json::<Value>(Call::get("/version")).await {
        Ok(server) => (server, None),
        Err(error) => (Value::Null, Some(error)),
    };
    let text = match &template {
        Some(template) => {
            let data = json!({"Client": client, "Server": with_templates_names(server)});
            template.render(&template_data(&data))? + "\n"
        }
        None => overview(&client, &server),
    };
    output::print(&text)?;
    match error {
        None => Ok(0),
        Some(error) => {
            say(&error.into());
            Err(Failure::silent(1))
        }
    }
}

/// docker's templates spell some fields in another way than its API.
fn with_templates_names(mut server: Value) -> Value {
    if let Some(value) = server.get("ApiVersion").cloned() {
        server["APIVersion"] = value;
    }
    server
}

fn overview(client: &Value, server: &Value) -> String {
    let mut text = String::from("Client:\n");
    let mut add = |label: &str, value: &Value, key: &str| {
        if let Some(value) = value.get(key) {
            let value = value
                .as_str()
                .map_or_else(|| value.to_string(), str::to_owned);
            _ = writeln!(text, " {label:<17} {value}");
        }
    };
    add("Version:", client, "Version");
    add("OS:", client, "Os");
    add("Architecture:", client, "Arch");
    if server.is_null() {
        return text;
    }
    text.push_str("\nAgent:\n");
    let mut add = |label: &str, key: &str| {
        let value = server.get(key).and_then(Value::as_str).unwrap_or_default();
        if !value.is_empty() {
            _ = writeln!(text, " {label:<17} {value}");
        }
    };
    add("Version:", "Version");
    add("API version:", "ApiVersion");
    add("Minimum API:", "MinAPIVersion");
    add("Git commit:", "GitCommit");
    add("Built:", "BuildTime");
    add("OS:", "Os");
    add("Architecture:", "Arch");
    add("Kernel:", "KernelVersion");
    text
}

/// Architectures have Go's names in images and engines.
fn go_architecture() -> &'static str {
    match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    }
}
