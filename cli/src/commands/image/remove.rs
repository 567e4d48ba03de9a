//! `hythe rmi`.

use clap::Args;
use serde::Deserialize;

use crate::api::{Api, Call, segment};
use crate::failure::{Failure, Outcome, say};
use crate::output;

#[derive(Debug, Args)]
pub(crate) struct RemoveArguments {
    /// Remove although containers use it or it has several names
    #[arg(long, short)]
    force: bool,
    /// Keep untagged parents
    #[arg(long)]
    no_prune: bool,
    #[arg(required = true, value_name = "IMAGE")]
    images: Vec<String>,
}

/// What became of an image: a name was taken away, or content was.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Removed {
    untagged: Option<String>,
    deleted: Option<String>,
}

/// The lines that tell it.
pub(super) fn told(removed: &[Removed]) -> String {
    let mut text = String::new();
    for item in removed {
        if let Some(name) = &item.untagged {
            text.extend(["Untagged: ", name, "\n"]);
        }
        if let Some(id) = &item.deleted {
            text.extend(["Deleted: ", id, "\n"]);
        }
    }
    text
}

pub(crate) async fn run(api: &Api, arguments: &RemoveArguments) -> Outcome {
    let mut failed = false;
    for image in &arguments.images {
        let call = Call::delete(format!("/images/{}", segment(image)))
            .flag("force", arguments.force)
            .flag("noprune", arguments.no_prune);
        match api.json::<Vec<Removed>>(call).await {
            Ok(removed) => output::print(&told(&removed))?,
            Err(error) => {
                // Being gone already is what force is for.
                failed |= !(arguments.force && error.is_not_found());
                say(&error.into());
            }
        }
    }
    if failed {
        Err(Failure::silent(1))
    } else {
        Ok(0)
    }
}
