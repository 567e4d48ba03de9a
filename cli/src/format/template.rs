//! Go's text/template with the functions docker adds to it.
//!
//! The engine is `gotmpl`. Data are JSON values, and methods that docker's own types have (such
//! as `.Label "key"`) are functions among them, told apart by their name.

use anyhow::Context as _;
use gotmpl::{MissingKey, TemplateError, Value};

use super::inspected::to_json;

/// A `--format` that was understood.
pub(crate) struct Template(gotmpl::Template);

impl std::fmt::Debug for Template {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Template")
    }
}

impl Template {
    pub(crate) fn parse(text: &str) -> anyhow::Result<Self> {
        let text = call_methods(text);
        let template = with_functions(gotmpl::Template::new(""))
            .missing_key(MissingKey::Error)
            .parse(&text)
            .context("template parsing error")?;
        Ok(Self(template))
    }

    pub(crate) fn render(&self, data: &Value) -> anyhow::Result<String> {
        self.0
            .execute_to_string(data)
            .context("template parsing error")
    }
}

/// Makes a call of `.Label "key"`: the language calls methods of structs without a word, but a
/// function that is a value only with one.
fn call_methods(text: &str) -> String {
    const METHOD: &str = ".Label ";
    let mut result = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(position) = rest.find(METHOD) {
        let (before, after) = rest.split_at(position);
        let start = before.trim_end_matches('$').len();
        result.push_str(&before[..start]);
        result.push_str("call ");
        result.push_str(&before[start..]);
        result.push_str(METHOD);
        rest = &after[METHOD.len()..];
    }
    result + rest
}

fn with_functions(template: gotmpl::Template) -> gotmpl::Template {
    template
        .func("json", |arguments| {
            let value = only(arguments, "json")?;
            serde_json::to_string(&to_json(value))
                .map(|text| Value::String(text.into()))
                .map_err(|error| TemplateError::Exec(error.to_string()))
        })
        .func("upper", |arguments| {
            Ok(text(only(arguments, "upper")?).to_uppercase().into())
        })
        .func("lower", |arguments| {
            Ok(text(only(arguments, "lower")?).to_lowercase().into())
        })
        .func("title", |arguments| {
            let text = text(only(arguments, "title")?);
            let mut characters = text.chars();
            let title = characters
                .next()
                .map(|first| first.to_uppercase().chain(characters).collect::<String>());
            Ok(title.unwrap_or_default().into())
        })
        .func("split", |arguments| {
            let [value, separator] = arguments else {
                return Err(wrong_number("split", 2, arguments));
            };
            let (value, separator) = (text(value), text(separator));
            let parts: Vec<Value> = value.split(separator.as_str()).map(Value::from).collect();
            Ok(Value::List(parts.into()))
        })
        .func("join", |arguments| {
            let [Value::List(values), separator] = arguments else {
                return Err(wrong_number("join", 2, arguments));
            };
            let values: Vec<String> = values.iter().map(text).collect();
            Ok(values.join(&text(separator)).into())
        })
        .func("pad", |arguments| {
            let [value, before, after] = arguments else {
                return Err(wrong_number("pad", 3, arguments));
            };
            let value = text(value);
            if value.is_empty() {
                return Ok(value.into());
            }
            let blanks = |count: &Value| " ".repeat(count.as_int().map_or(0, usable));
            Ok(format!("{}{value}{}", blanks(before), blanks(after)).into())
        })
        .func("truncate", |arguments| {
            let [value, length] = arguments else {
                return Err(wrong_number("truncate", 2, arguments));
            };
            let length = length.as_int().map_or(0, usable);
            Ok(text(value).chars().take(length).collect::<String>().into())
        })
}

fn only<'a>(arguments: &'a [Value], name: &str) -> Result<&'a Value, TemplateError> {
    match arguments {
        [value] => Ok(value),
        _ => Err(wrong_number(name, 1, arguments)),
    }
}

fn wrong_number(name: &str, expected: usize, arguments: &[Value]) -> TemplateError {
    TemplateError::Exec(format!(
        "wrong number or kind of args for {name}: want {expected} got {}",
        arguments.len()
    ))
}

fn text(value: &Value) -> String {
    value.to_string()
}

fn usable(count: i64) -> usize {
    usize::try_from(count.clamp(0, 4096)).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn render(template: &str) -> anyhow::Result<String> {
        let data = json!({
            "Id": "abc",
            "State": {"Running": true, "Pid": 42, "Status": "running"},
            "Config": {"Env": ["A=1", "B=2"], "Labels": {"x.y": "z"}, "Entrypoint": null},
            "NetworkSettings": {
                "Ports": {"80/tcp": [{"HostIp": "0.0.0.0", "HostPort": "8080"}]},
                "Networks": {"bridge": {"IPAddress": "172.17.0.2"}},
            },
            "Mounts": [{"Source": "/a"}, {"Source": "/b"}],
            "SizeRw": 1.5,
        });
        Template::parse(template)?.render(&crate::format::template_data(&data))
    }

    #[test]
    fn what_people_script() {
        let cases = [
            ("{{.Id}}", "abc"),
            ("{{.State.Running}}", "true"),
            ("{{.State.Pid}}\\n", "42\\n"),
            (
                "{{json .State}}",
                r#"{"Pid":42,"Running":true,"Status":"running"}"#,
            ),
            ("{{json .Config.Entrypoint}}", "null"),
            ("{{.Config.Env}}", "[A=1 B=2]"),
            ("{{index .Config.Labels \"x.y\"}}", "z"),
            ("{{range .Mounts}}{{.Source}} {{end}}", "/a /b "),
            (
                "{{range $k, $v := .NetworkSettings.Networks}}{{$k}}={{$v.IPAddress}}{{end}}",
                "bridge=172.17.0.2",
            ),
            (
                "{{(index (index .NetworkSettings.Ports \"80/tcp\") 0).HostPort}}",
                "8080",
            ),
            (
                "{{range $p, $c := .NetworkSettings.Ports}}{{$p}} -> {{(index $c 0).HostPort}}{{end}}",
                "80/tcp -> 8080",
            ),
            ("{{if .State.Running}}up{{else}}down{{end}}", "up"),
            ("{{if eq .State.Status \"running\"}}yes{{end}}", "yes"),
            ("{{if gt .State.Pid 40}}yes{{end}}", "yes"),
            ("{{with .Config}}{{len .Env}}{{end}}", "2"),
            ("{{join .Config.Env \",\"}}", "A=1,B=2"),
            ("{{(index (split \"a/b\" \"/\") 1)}}", "b"),
            (
                "{{upper .Id}}{{lower \"X\"}}{{title \"ab\"}}{{pad \"x\" 1 2}}|{{truncate \"abc\" 2}}",
                "ABCxAb x  |ab",
            ),
            ("{{printf \"%.3s\" \"abcdef\"}}", "abc"),
            ("{{println .Id}}", "abc\n"),
            ("{{- .Id -}}  ", "abc"),
        ];
        for (template, expected) in cases {
            match render(template) {
                Ok(text) => assert_eq!(text, expected, "{template}"),
                Err(error) => panic!("{template}: {error:#}"),
            }
        }
    }

    #[test]
    fn mistakes_are_told() {
        for template in [
            "{{.Id",
            "{{.Nope}}",
            "{{nope .}}",
            "{{index .Mounts 9}}",
            "{{json}}",
        ] {
            let error = render(template).unwrap_err();
            assert!(
                format!("{error:#}").starts_with("template parsing error: "),
                "{template}: {error:#}"
            );
        }
    }

    #[test]
    fn methods_are_called() {
        assert_eq!(call_methods("{{.ID}}"), "{{.ID}}");
        assert_eq!(call_methods("{{.Label \"a\"}}"), "{{call .Label \"a\"}}");
        assert_eq!(
            call_methods("{{range .X}}{{$.Label \"a\"}}{{end}}"),
            "{{range .X}}{{call $.Label \"a\"}}{{end}}"
        );
    }
}
