//! JSON as Go's decoder takes it, for clients that were written against one.
//!
//! Three habits differ from serde's: names of struct fields match in any case, `null` leaves a
//! field at its zero value, and unknown fields are passed over. Keys of maps are left alone.

use std::collections::BTreeMap;
use std::fmt;

use serde::de::value::{MapDeserializer, SeqDeserializer, StrDeserializer};
use serde::de::{DeserializeOwned, DeserializeSeed, Deserializer, IntoDeserializer, MapAccess};
use serde::de::{Error as _, Unexpected, Visitor};
use serde::forward_to_deserialize_any;
use serde_json::Value;

/// Why a document does not fit, and at which field.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct GoJsonError {
    /// Dotted, outermost first; empty at the top.
    path: String,
    message: String,
}

impl fmt::Display for GoJsonError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.path.is_empty() {
            f.write_str(&self.message)
        } else {
            write!(f, "field {}: {}", self.path, self.message)
        }
    }
}

impl std::error::Error for GoJsonError {}

impl serde::de::Error for GoJsonError {
    fn custom<T: fmt::Display>(message: T) -> Self {
        Self {
            path: String::new(),
            message: message.to_string(),
        }
    }
}

impl GoJsonError {
    fn inside(mut self, field: &str) -> Self {
        self.path = if self.path.is_empty() {
            field.to_owned()
        } else {
            format!("{field}.{}", self.path)
        };
        self
    }
}

/// Reads a document into `T` by Go's rules.
pub(crate) fn from_value<T: DeserializeOwned>(value: Value) -> Result<T, GoJsonError> {
    T::deserialize(GoJson(value))
}

struct GoJson(Value);

impl IntoDeserializer<'_, GoJsonError> for GoJson {
    type Deserializer = Self;

    fn into_deserializer(self) -> Self {
        self
    }
}

/// Scalars: the zero value for `null`, else what the document has.
macro_rules! zero_for_null {
    ($($method:ident => $visit:ident($zero:expr),)*) => {$(
        fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, GoJsonError> {
            match self.0 {
                Value::Null => visitor.$visit($zero),
                _ => self.deserialize_any(visitor),
            }
        }
    )*};
}

impl<'de> Deserializer<'de> for GoJson {
    type Error = GoJsonError;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, GoJsonError> {
        match self.0 {
            Value::Null => visitor.visit_unit(),
            Value::Bool(value) => visitor.visit_bool(value),
            Value::Number(number) => number.deserialize_any(visitor).map_err(GoJsonError::custom),
            Value::String(text) => visitor.visit_string(text),
            Value::Array(list) => {
                visitor.visit_seq(SeqDeserializer::new(list.into_iter().map(GoJson)))
            }
            Value::Object(map) => visitor.visit_map(MapDeserializer::new(
                map.into_iter().map(|(key, value)| (key, GoJson(value))),
            )),
        }
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, GoJsonError> {
        match self.0 {
            Value::Null => visitor.visit_none(),
            _ => visitor.visit_some(self),
        }
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, GoJsonError> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, GoJsonError> {
        let map = match self.0 {
            Value::Object(map) => map,
            Value::Null => serde_json::Map::new(),
            // serde would read a list field by field, which Go does not.
            Value::Array(_) => return Err(GoJsonError::invalid_type(Unexpected::Seq, &visitor)),
            Value::Bool(_) | Value::Number(_) | Value::String(_) => {
                return self.deserialize_any(visitor);
            }
        };
        let mut known = BTreeMap::new();
        for (key, value) in map {
            if let Some(field) = fields.iter().find(|field| field.eq_ignore_ascii_case(&key)) {
                known.insert(*field, value);
            }
        }
        visitor.visit_map(StructFields {
            rest: known.into_iter(),
            pending: None,
        })
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, GoJsonError> {
        match self.0 {
            Value::Null => GoJson(Value::Array(Vec::new())).deserialize_any(visitor),
            _ => self.deserialize_any(visitor),
        }
    }

    fn deserialize_map<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, GoJsonError> {
        match self.0 {
            Value::Null => GoJson(Value::Object(serde_json::Map::new())).deserialize_any(visitor),
            _ => self.deserialize_any(visitor),
        }
    }

    zero_for_null! {
        deserialize_bool => visit_bool(false),
        deserialize_i8 => visit_u64(0),
        deserialize_i16 => visit_u64(0),
        deserialize_i32 => visit_u64(0),
        deserialize_i64 => visit_u64(0),
        deserialize_u8 => visit_u64(0),
        deserialize_u16 => visit_u64(0),
        deserialize_u32 => visit_u64(0),
        deserialize_u64 => visit_u64(0),
        deserialize_f64 => visit_f64(0.0),
        deserialize_str => visit_str(""),
        deserialize_string => visit_str(""),
    }

    forward_to_deserialize_any! {
        i128 u128 f32 char bytes byte_buf unit unit_struct tuple tuple_struct enum identifier
        ignored_any
    }
}

/// The fields of an object that a struct knows, under the struct's own spelling.
struct StructFields {
    rest: std::collections::btree_map::IntoIter<&'static str, Value>,
    pending: Option<(&'static str, Value)>,
}

impl<'de> MapAccess<'de> for StructFields {
    type Error = GoJsonError;

    fn next_key_seed<K: DeserializeSeed<'de>>(
        &mut self,
        seed: K,
    ) -> Result<Option<K::Value>, GoJsonError> {
        self.pending = self.rest.next();
        let Some((field, _)) = &self.pending else {
            return Ok(None);
        };
        seed.deserialize(StrDeserializer::new(field)).map(Some)
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(
        &mut self,
        seed: V,
    ) -> Result<V::Value, GoJsonError> {
        let (field, value) = self
            .pending
            .take()
            .ok_or_else(|| GoJsonError::custom("value asked for before its key"))?;
        seed.deserialize(GoJson(value))
            .map_err(|error| error.inside(field))
    }
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;
    use serde_json::json;

    use super::*;

    #[derive(Debug, Default, PartialEq, Deserialize)]
    #[serde(default, rename_all = "PascalCase")]
    struct Outer {
        name: String,
        count: i64,
        on: bool,
        list: Vec<String>,
        maybe: Option<Vec<String>>,
        inner: Inner,
        map: BTreeMap<String, Option<Inner>>,
    }

    #[derive(Debug, Default, PartialEq, Deserialize)]
    #[serde(default, rename_all = "PascalCase")]
    struct Inner {
        size: u16,
    }

    #[test]
    fn nulls_are_zero_values_and_case_does_not_matter() {
        let empty = [
            json!({}),
            json!(null),
            json!({"Name": null, "Count": null, "On": null, "List": null, "Inner": null}),
            json!({"Nobody": {"knows": [1]}, "Map": null}),
        ];
        for document in empty {
            assert_eq!(from_value(document), Ok(Outer::default()));
        }
        let got: Outer = from_value(json!({
            "name": "x", "COUNT": 3, "oN": true, "List": ["a", null], "Maybe": [],
            "inner": {"SIZE": 4}, "Map": {"Key": null, "key": {"size": 1}},
        }))
        .unwrap();
        let expected = Outer {
            name: "x".into(),
            count: 3,
            on: true,
            list: vec!["a".into(), String::new()],
            maybe: Some(vec![]),
            inner: Inner { size: 4 },
            map: BTreeMap::from([
                ("Key".into(), None),
                ("key".into(), Some(Inner { size: 1 })),
            ]),
        };
        assert_eq!(got, expected);
    }

    #[test]
    fn errors_name_the_field() {
        let cases = [
            (
                json!({"Count": "3"}),
                "field Count: invalid type: string \"3\", expected i64",
            ),
            (
                json!({"Inner": {"Size": -1}}),
                "field Inner.Size: invalid value: integer `-1`, expected u16",
            ),
            (json!([]), "invalid type: sequence, expected struct Outer"),
            (
                json!("x"),
                "invalid type: string \"x\", expected struct Outer",
            ),
        ];
        for (document, text) in cases {
            let error = from_value::<Outer>(document).unwrap_err();
            assert_eq!(error.to_string(), text);
        }
    }
}
