//! `hythe system prune`.

use clap::Args;

use crate::api::{Api, Filters};
use crate::commands::{confirmed, container, image, network, volume};
use crate::failure::Outcome;
use crate::format::decimal_size;
use crate::output;
use crate::values;

#[derive(Debug, Args)]
pub(crate) struct PruneArguments {
    /// Remove all unused images, not only unnamed ones
    #[arg(long, short)]
    all: bool,
    /// Remove only what matches
    #[arg(long, value_name = "KEY=VALUE", value_parser = values::parse_filter)]
    filter: Vec<(String, String)>,
    /// Do not ask for confirmation
    #[arg(long, short)]
    force: bool,
    /// Remove unnamed volumes too
    #[arg(long)]
    volumes: bool,
}

pub(super) async fn run(api: &Api, arguments: &PruneArguments) -> Outcome {
    let filters = Filters::new(&arguments.filter);
    if arguments.volumes && filters.contains("until") {
        return Err(
            anyhow::anyhow!("the \"until\" filter is not supported with \"--volumes\"").into(),
        );
    }
    if !confirmed(arguments.force, &question(arguments))? {
        return Ok(0);
    }
    // Containers first: they hold the rest.
    let (mut text, mut total) = container::prune::prune(api, &filters).await?;
    let mut add = |(said, space): (String, i64)| {
        text.push_str(&said);
        total += space;
    };
    add((network::prune(api, &filters).await?, 0));
    if arguments.volumes {
        add(volume::prune(api, false, filters.clone()).await?);
    }
    add(image::prune::prune(api, arguments.all, filters.clone()).await?);
    add(image::prune::prune_cache(api, arguments.all, &filters).await?);
    let total = decimal_size(total, 4);
    output::print(&format!("{text}Total reclaimed space: {total}\n"))?;
    Ok(0)
}

fn question(arguments: &PruneArguments) -> String {
    let mut text = String::from(
        "WARNING! This will remove:\n  - all stopped containers\n  \
         - all networks not used by at least one container\n",
    );
    if arguments.volumes {
        text.push_str("  - all anonymous volumes not used by at least one container\n");
    }
    text.push_str(if arguments.all {
        "  - all images without at least one container associated to them\n  - all build cache\n"
    } else {
        "  - all dangling images\n  - unused build cache\n"
    });
    text
}
