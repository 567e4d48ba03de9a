//! Lists: rows of named fields, shown as a table, as JSON, or through a template.

use std::collections::BTreeMap;
use std::sync::Arc;

use gotmpl::{TemplateError, Value};

use super::{LIST_WIDTH, Template, align};

/// A field that rows have: its name in templates, and its heading in tables.
pub(crate) type Field = (&'static str, &'static str);

/// One row under construction.
#[derive(Debug, Default)]
pub(crate) struct Row {
    fields: BTreeMap<Arc<str>, Value>,
}

impl Row {
    /// Adds a field; text, numbers and truth values all become what they are in a template.
    pub(crate) fn with(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.fields.insert(name.into(), value.into());
        self
    }

    /// Adds `.Labels` (`a=b,c=d`) and the method `.Label "a"`.
    pub(crate) fn with_labels<'a>(
        self,
        labels: impl IntoIterator<Item = (&'a String, &'a String)>,
    ) -> Self {
        let labels: BTreeMap<String, String> = labels
            .into_iter()
            .map(|(key, value)| (key.clone(), value.clone()))
            .collect();
        let all: Vec<String> = labels
            .iter()
            .map(|(key, value)| format!("{key}={value}"))
            .collect();
        let one = move |arguments: &[Value]| match arguments {
            [Value::String(key)] => Ok(labels
                .get(key.as_ref())
                .map_or(Value::from(""), |value| Value::from(value.as_str()))),
            _ => Err(TemplateError::Exec("Label takes one name".to_owned())),
        };
        let mut row = self.with("Labels", all.join(","));
        row.fields
            .insert("Label".into(), Value::Function(Arc::new(one)));
        row
    }

    /// Adds a field that is a list of rows.
    pub(crate) fn with_rows(self, name: &str, rows: impl IntoIterator<Item = Row>) -> Self {
        let rows: Vec<Value> = rows.into_iter().map(Row::into_value).collect();
        self.with(name, rows)
    }

    fn into_value(self) -> Value {
        Value::Map(Arc::new(self.fields))
    }
}

/// How a list is to be shown.
#[derive(Debug)]
pub(crate) struct Listing {
    template: Template,
    /// Whether the lines are aligned under headings.
    table: bool,
}

impl Listing {
    /// Reads `--format`; `default` is the table's template, tab-separated.
    pub(crate) fn parse(format: Option<&str>, default: &str) -> anyhow::Result<Self> {
        let (template, table) = match format.unwrap_or("table") {
            "" | "table" => (default, true),
            "json" => ("{{json .}}", false),
            format => match format.strip_prefix("table ") {
                Some(template) => (template.trim(), true),
                None => (format, false),
            },
        };
        // A shell makes these hard to type, so they may be written.
        let template = template.replace("\\t", "\t").replace("\\n", "\n");
        Ok(Self {
            template: Template::parse(&template)?,
            table,
        })
    }

    /// Whether it is a table of the default columns.
    pub(crate) fn is_plain_table(format: Option<&str>) -> bool {
        matches!(format, None | Some("" | "table"))
    }

    /// One row that is no line of a list, through the template.
    pub(crate) fn render_whole(&self, row: Row) -> anyhow::Result<String> {
        Ok(self.template.render(&row.into_value())? + "\n")
    }

    /// All the rows as text that ends with a newline, or no text at all.
    pub(crate) fn render(
        &self,
        fields: &[Field],
        rows: impl IntoIterator<Item = Row>,
    ) -> anyhow::Result<String> {
        // Also where no headings are shown: a field that does not exist is a mistake, rows or not.
        let headings = self.template.render(&headings(fields))?;
        let mut lines = String::new();
        if self.table {
            lines.push_str(&headings);
            lines.push('\n');
        }
        for row in rows {
            lines.push_str(&self.template.render(&row.into_value())?);
            lines.push('\n');
        }
        Ok(if self.table {
            align(&lines, LIST_WIDTH)
        } else {
            lines
        })
    }
}

/// The row of headings. A label's heading is its name, as far as it can be told.
fn headings(fields: &[Field]) -> Value {
    let mut row = fields.iter().fold(Row::default(), |row, (name, heading)| {
        row.with(name, *heading)
    });
    let label = |arguments: &[Value]| {
        let name = arguments.first().map(Value::to_string).unwrap_or_default();
        let last = name.rsplit('.').next().unwrap_or_default().to_owned();
        Ok(last.into())
    };
    row.fields
        .insert("Label".into(), Value::Function(Arc::new(label)));
    row.into_value()
}

#[cfg(test)]
mod tests {
    use super::*;

    const FIELDS: &[Field] = &[
        ("ID", "CONTAINER ID"),
        ("Names", "NAMES"),
        ("Labels", "LABELS"),
    ];

    fn rendered(format: Option<&str>) -> String {
        let labels = BTreeMap::from([
            ("com.x".to_owned(), "1".to_owned()),
            ("a".to_owned(), "b".to_owned()),
        ]);
        let row = Row::default()
            .with("ID", "0123")
            .with("Names", "web")
            .with_labels(&labels);
        Listing::parse(format, "{{.ID}}\t{{.Names}}")
            .and_then(|listing| listing.render(FIELDS, [row]))
            .unwrap()
    }

    #[test]
    fn formats() {
        let cases = [
            (None, "CONTAINER ID   NAMES\n0123           web\n"),
            (Some("table"), "CONTAINER ID   NAMES\n0123           web\n"),
            (
                Some("table {{.Names}}\\t{{.ID}}"),
                "NAMES     CONTAINER ID\nweb       0123\n",
            ),
            (Some("{{.Names}}"), "web\n"),
            (Some("{{.Label \"com.x\"}}{{.Label \"none\"}}"), "1\n"),
            (Some("{{.Labels}}"), "a=b,com.x=1\n"),
            (
                Some("json"),
                "{\"ID\":\"0123\",\"Labels\":\"a=b,com.x=1\",\"Names\":\"web\"}\n",
            ),
        ];
        for (format, expected) in cases {
            assert_eq!(rendered(format), expected, "{format:?}");
        }
    }

    #[test]
    fn an_unknown_field_is_a_mistake_in_an_empty_list_too() {
        let listing = Listing::parse(Some("{{.Nope}}"), "").unwrap();
        assert!(listing.render(FIELDS, []).is_err());
    }

    #[test]
    fn an_empty_list_has_its_heading() {
        let listing = Listing::parse(None, "{{.ID}}\t{{.Names}}").unwrap();
        assert_eq!(
            listing.render(FIELDS, []).unwrap(),
            "CONTAINER ID   NAMES\n"
        );
    }
}
