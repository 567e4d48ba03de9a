//! `hythe events`.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use clap::Args;
use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde::Deserialize;
use serde_json::Value;

use crate::api::{Api, Call, Filters};
use crate::failure::Outcome;
use crate::format::{self, Template};
use crate::output;
use crate::values;

#[derive(Debug, Args)]
pub(crate) struct EventsArguments {
    /// Show only events that match
    #[arg(long, short, value_name = "KEY=VALUE", value_parser = values::parse_filter)]
    filter: Vec<(String, String)>,
    /// json, or a Go template
    #[arg(long, value_name = "FORMAT")]
    format: Option<String>,
    /// Show events since a time, or for how long
    #[arg(long, value_name = "TIME")]
    since: Option<String>,
    /// Show events until a time
    #[arg(long, value_name = "TIME")]
    until: Option<String>,
}

#[derive(Debug, Deserialize)]
struct Event {
    #[serde(rename = "Type")]
    kind: String,
    #[serde(rename = "Action")]
    action: String,
    #[serde(rename = "Actor")]
    actor: Actor,
    #[serde(default)]
    time: i64,
    #[serde(rename = "timeNano", default)]
    time_nano: i64,
}

#[derive(Debug, Deserialize)]
struct Actor {
    #[serde(rename = "ID")]
    id: String,
    #[serde(rename = "Attributes", default)]
    attributes: Option<BTreeMap<String, String>>,
}

pub(super) async fn run(api: &Api, arguments: &EventsArguments) -> Outcome {
    let template = match arguments.format.as_deref() {
        None | Some("") => None,
        Some("json") => Some(Template::parse("{{json .}}")?),
        Some(format) => Some(Template::parse(format)?),
    };
    let (now, zone) = (Timestamp::now(), TimeZone::system());
    let moment = |text: &Option<String>| {
        text.as_deref()
            .map(|text| values::parse_moment(text, now, &zone))
            .transpose()
    };
    let call = Call::get("/events")
        .query_option("since", moment(&arguments.since)?)
        .query_option("until", moment(&arguments.until)?)
        .filters(&Filters::new(&arguments.filter));
    let mut events = api.json_lines(call).await?;
    while let Some(event) = events.next::<Value>().await? {
        let text = match &template {
            Some(template) => template.render(&template_data(event))?,
            None => line(&serde_json::from_value(event)?, &zone),
        };
        output::line(&text)?;
    }
    Ok(0)
}

/// The event as templates see it: times have capital letters there too.
fn template_data(mut event: Value) -> gotmpl::Value {
    if let Some(object) = event.as_object_mut() {
        for (wire, field) in [
            ("time", "Time"),
            ("timeNano", "TimeNano"),
            ("scope", "Scope"),
        ] {
            if let Some(value) = object.get(wire).cloned() {
                object.insert(field.to_owned(), value);
            }
        }
    }
    format::template_data(&event)
}

/// `2024-01-02T03:04:05.000000000Z container start 0123… (image=nginx, name=web)`
fn line(event: &Event, zone: &TimeZone) -> String {
    let timestamp = if event.time_nano == 0 {
        Timestamp::from_second(event.time)
    } else {
        Timestamp::from_nanosecond(event.time_nano.into())
    };
    let time = timestamp
        .map(|timestamp| {
            timestamp
                .to_zoned(zone.clone())
                .strftime("%Y-%m-%dT%H:%M:%S.%9f%:z")
                .to_string()
                .replace("+00:00", "Z")
        })
        .unwrap_or_default();
    let attributes: Vec<String> = event
        .actor
        .attributes
        .iter()
        .flatten()
        .map(|(key, value)| format!("{key}={value}"))
        .collect();
    let mut text = format!("{time} {} {} {}", event.kind, event.action, event.actor.id);
    if !attributes.is_empty() {
        _ = write!(text, " ({})", attributes.join(", "));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line() {
        let event: Event = serde_json::from_value(serde_json::json!({
            "Type": "container",
            "Action": "start",
            "Actor": {"ID": "0123", "Attributes": {"name": "web", "image": "nginx"}},
            "time": 1_700_000_000,
            "timeNano": 1_700_000_000_123_456_789_i64,
        }))
        .unwrap();
        assert_eq!(
            line(&event, &TimeZone::UTC),
            "2023-11-14T22:13:20.123456789Z container start 0123 (image=nginx, name=web)"
        );
    }
}
