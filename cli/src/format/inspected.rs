//! The agent's JSON as data of a template, seen as docker's own types would show it.
//!
//! In JSON an absent list is null; docker's templates print it as an empty one, and its `json`
//! as null again. The two are told apart here by identity: one list and one map stand for null.

use std::collections::BTreeMap;
use std::sync::{Arc, LazyLock};

use gotmpl::Value;
use serde_json::Value as Json;

static NULL_LIST: LazyLock<Arc<[Value]>> = LazyLock::new(|| Arc::from(Vec::new()));
static NULL_MAP: LazyLock<Arc<BTreeMap<Arc<str>, Value>>> = LazyLock::new(Arc::default);

/// Fields that are lists, wherever they are.
const LISTS: &[&str] = &[
    "Args",
    "Binds",
    "CapAdd",
    "CapDrop",
    "Cmd",
    "DeviceCgroupRules",
    "DeviceRequests",
    "Devices",
    "Dns",
    "DnsOptions",
    "DnsSearch",
    "Entrypoint",
    "Env",
    "ExecIDs",
    "ExtraHosts",
    "GroupAdd",
    "Links",
    "MaskedPaths",
    "Mounts",
    "OnBuild",
    "ReadonlyPaths",
    "RepoDigests",
    "RepoTags",
    "SecurityOpt",
    "Ulimits",
    "VolumesFrom",
];

/// Fields that are maps, wherever they are.
const MAPS: &[&str] = &[
    "ExposedPorts",
    "Labels",
    "Options",
    "PortBindings",
    "Ports",
    "Sysctls",
    "Tmpfs",
    "Volumes",
];

/// The JSON as a template sees it.
pub(crate) fn template_data(json: &Json) -> Value {
    convert("", json)
}

fn convert(key: &str, json: &Json) -> Value {
    match json {
        Json::Null if LISTS.contains(&key) => Value::List(Arc::clone(&NULL_LIST)),
        Json::Null if MAPS.contains(&key) => Value::Map(Arc::clone(&NULL_MAP)),
        Json::Null => Value::Nil,
        Json::Bool(on) => Value::Bool(*on),
        Json::Number(number) => match (number.as_i64(), number.as_u64()) {
            (Some(number), _) => Value::Int(number),
            (None, Some(number)) => Value::Uint(number),
            (None, None) => Value::Float(number.as_f64().unwrap_or(f64::NAN)),
        },
        Json::String(text) => Value::from(text.as_str()),
        Json::Array(values) => Value::List(values.iter().map(|value| convert("", value)).collect()),
        Json::Object(object) => Value::Map(Arc::new(
            object
                .iter()
                .map(|(key, value)| (Arc::from(key.as_str()), convert(key, value)))
                .collect(),
        )),
    }
}

/// The value as JSON again, without the functions in it.
pub(super) fn to_json(value: &Value) -> Json {
    match value {
        Value::List(values) if Arc::ptr_eq(values, &NULL_LIST) => Json::Null,
        Value::Map(map) if Arc::ptr_eq(map, &NULL_MAP) => Json::Null,
        Value::Bool(on) => Json::Bool(*on),
        Value::Int(number) => Json::from(*number),
        Value::Uint(number) => Json::from(*number),
        Value::Float(number) => Json::from(*number),
        Value::String(text) => Json::String(text.to_string()),
        Value::List(values) => Json::Array(values.iter().map(to_json).collect()),
        Value::Map(map) => Json::Object(
            map.iter()
                .filter(|(_, value)| !value.is_function())
                .map(|(key, value)| (key.to_string(), to_json(value)))
                .collect(),
        ),
        Value::Nil | Value::Function(_) => Json::Null,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::format::Template;
    use serde_json::json;

    #[test]
    fn absent_lists_are_empty_and_null() {
        let data = json!({
            "Config": {"Entrypoint": null, "Labels": null, "Cmd": [], "User": null},
            "Big": u64::MAX,
            "Small": -1,
            "Half": 0.5,
        });
        let cases = [
            ("{{.Config.Entrypoint}}", "[]"),
            ("{{json .Config.Entrypoint}}", "null"),
            ("{{.Config.Cmd}}{{json .Config.Cmd}}", "[][]"),
            ("{{.Config.Labels}}", "map[]"),
            ("{{json .Config.Labels}}", "null"),
            ("{{len .Config.Entrypoint}}", "0"),
            ("{{range .Config.Entrypoint}}x{{else}}none{{end}}", "none"),
            ("{{if .Config.Labels}}x{{else}}none{{end}}", "none"),
            (
                "{{.Big}} {{.Small}} {{.Half}}",
                "18446744073709551615 -1 0.5",
            ),
        ];
        for (template, expected) in cases {
            let text = Template::parse(template)
                .and_then(|template| template.render(&template_data(&data)))
                .unwrap();
            assert_eq!(text, expected, "{template}");
        }
    }
}
