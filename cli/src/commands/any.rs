//! `hythe inspect`, for whatever a name may be.

use clap::{Args, ValueEnum};

use crate::api::{Api, ApiError, Call, segment};
use crate::failure::{Failure, Outcome, say};
use crate::format::{Template, indented, template_data};
use crate::output;

#[derive(Debug, Args)]
pub(crate) struct InspectArguments {
    /// json, or a Go template
    #[arg(long, short, value_name = "FORMAT")]
    format: Option<String>,
    /// Show the size of files of containers
    #[arg(long, short)]
    size: bool,
    /// Only look at things of this kind
    #[arg(long = "type", value_enum, value_name = "KIND")]
    kind: Option<Kind>,
    #[arg(required = true, value_name = "NAME|ID")]
    names: Vec<String>,
}

/// The same for a group that knows its kind.
#[derive(Debug, Args)]
pub(crate) struct KindInspectArguments {
    /// json, or a Go template
    #[arg(long, short, value_name = "FORMAT")]
    format: Option<String>,
    #[arg(required = true, value_name = "NAME|ID")]
    names: Vec<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Kind {
    Container,
    Image,
    Network,
    Volume,
}

impl Kind {
    /// The order in which a name is looked for.
    const ALL: [Self; 4] = [Self::Container, Self::Image, Self::Network, Self::Volume];

    fn path(self, name: &str) -> String {
        let name = segment(name);
        match self {
            Self::Container => format!("/containers/{name}/json"),
            Self::Image => format!("/images/{name}/json"),
            Self::Network => format!("/networks/{name}"),
            Self::Volume => format!("/volumes/{name}"),
        }
    }
}

pub(super) async fn run(api: &Api, arguments: &InspectArguments) -> Outcome {
    let only;
    let kinds: &[Kind] = match arguments.kind {
        Some(kind) => {
            only = [kind];
            &only
        }
        None => &Kind::ALL,
    };
    let inspecting = Inspecting {
        kinds,
        size: arguments.size,
        format: arguments.format.as_deref(),
    };
    inspecting.run(api, &arguments.names).await
}

pub(super) async fn run_kind(api: &Api, kind: Kind, arguments: &KindInspectArguments) -> Outcome {
    let inspecting = Inspecting {
        kinds: &[kind],
        size: false,
        format: arguments.format.as_deref(),
    };
    inspecting.run(api, &arguments.names).await
}

struct Inspecting<'a> {
    kinds: &'a [Kind],
    size: bool,
    format: Option<&'a str>,
}

impl Inspecting<'_> {
    async fn run(&self, api: &Api, names: &[String]) -> Outcome {
        let template = match self.format {
            None | Some("" | "json") => None,
            Some(text) => Some(Template::parse(text)?),
        };
        let mut found = Vec::new();
        let mut errors = Vec::new();
        for name in names {
            match self.find(api, name).await {
                Ok(json) => found.push(json),
                Err(error) => errors.push(error),
            }
        }
        let mut text = String::new();
        if let Some(template) = template {
            for json in &found {
                match render(&template, json) {
                    Ok(line) => text.extend([line.as_str(), "\n"]),
                    Err(error) => errors.push(error),
                }
            }
        } else {
            let all = format!("[{}]", found.join(","));
            let all = if self.format == Some("json") {
                all
            } else {
                indented(&all)
            };
            text.extend([all.as_str(), "\n"]);
        }
        output::print(&text)?;
        errors.iter().for_each(say);
        if errors.is_empty() {
            Ok(0)
        } else {
            Err(Failure::silent(1))
        }
    }

    /// The first thing of that name, as the agent's own text.
    async fn find(&self, api: &Api, name: &str) -> anyhow::Result<String> {
        let mut missing = None;
        for kind in self.kinds {
            let call =
                Call::get(kind.path(name)).flag("size", self.size && *kind == Kind::Container);
            match api.text(call).await {
                Ok(text) => return Ok(text.trim_end().to_owned()),
                // A name may be no name at all for a kind that is stricter than the others.
                Err(error @ ApiError::Answer { .. })
                    if self.kinds.len() > 1 || error.is_not_found() =>
                {
                    missing = Some(error);
                }
                Err(error) => return Err(error.into()),
            }
        }
        match missing {
            Some(error) if self.kinds.len() == 1 => Err(error.into()),
            _ => Err(anyhow::anyhow!("Error: No such object: {name}")),
        }
    }
}

fn render(template: &Template, json: &str) -> anyhow::Result<String> {
    let mut data: serde_json::Value = serde_json::from_str(json)?;
    // Go's types call it ID, their JSON Id; people write either.
    if let Some(object) = data.as_object_mut()
        && let Some(id) = object.get("Id").cloned()
    {
        object.entry("ID").or_insert(id);
    }
    // Fields that are left out when they are empty, but that are there for who asks.
    for (object, field) in [("State", "Health"), ("Config", "ExposedPorts")] {
        if let Some(object) = data
            .get_mut(object)
            .and_then(|object| object.as_object_mut())
        {
            object.entry(field).or_insert(serde_json::Value::Null);
        }
    }
    template.render(&template_data(&data))
}
