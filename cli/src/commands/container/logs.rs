//! `hythe logs`.

use clap::Args;
use futures_util::TryStreamExt as _;
use http_body_util::BodyExt as _;
use jiff::Timestamp;
use jiff::tz::TimeZone;
use tokio_util::io::StreamReader;

use crate::api::{Api, Call};
use crate::commands::session;
use crate::failure::Outcome;
use crate::values;

#[derive(Debug, Args)]
pub(crate) struct LogsArguments {
    /// Show extra details provided to logs
    #[arg(long)]
    details: bool,
    /// Follow the output
    #[arg(long, short)]
    follow: bool,
    /// Show logs since a time, or for how long
    #[arg(long, value_name = "TIME")]
    since: Option<String>,
    /// Number of lines from the end
    #[arg(
        long,
        short = 'n',
        value_name = "N",
        default_value = "all",
        allow_hyphen_values = true
    )]
    tail: String,
    /// Show timestamps
    #[arg(long, short)]
    timestamps: bool,
    /// Show logs before a time, or how long ago
    #[arg(long, value_name = "TIME")]
    until: Option<String>,
    #[arg(value_name = "CONTAINER")]
    container: String,
}

pub(super) async fn run(api: &Api, arguments: &LogsArguments) -> Outcome {
    let inspected = super::inspect(api, &arguments.container).await?;
    let (now, zone) = (Timestamp::now(), TimeZone::system());
    let moment = |text: &Option<String>| {
        text.as_deref()
            .map(|text| values::parse_moment(text, now, &zone))
            .transpose()
    };
    let call = Call::get(super::path(&inspected.id, "/logs"))
        .flag("stdout", true)
        .flag("stderr", true)
        .flag("details", arguments.details)
        .flag("follow", arguments.follow)
        .flag("timestamps", arguments.timestamps)
        .query("tail", &arguments.tail)
        .query_option("since", moment(&arguments.since)?)
        .query_option("until", moment(&arguments.until)?);
    let body = api.send(call).await?.into_body();
    let reader = StreamReader::new(body.into_data_stream().map_err(std::io::Error::other));
    session::copy(reader, inspected.config.tty).await?;
    Ok(0)
}
