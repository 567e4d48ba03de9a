//! A body that is a row of JSON values: pull and push progress, events, stats.

use bytes::{Buf, BytesMut};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use serde::de::DeserializeOwned;

use super::ApiError;

/// Values in the order they arrive. Engines end each with a newline, but only the JSON counts.
#[derive(Debug)]
pub(crate) struct JsonLines {
    body: Incoming,
    pending: BytesMut,
}

impl JsonLines {
    pub(super) fn new(body: Incoming) -> Self {
        Self {
            body,
            pending: BytesMut::new(),
        }
    }

    /// The next value, or `None` at the end of the body.
    pub(crate) async fn next<T: DeserializeOwned>(&mut self) -> Result<Option<T>, ApiError> {
        loop {
            if let Some(value) = take_value(&mut self.pending)? {
                return Ok(Some(value));
            }
            match self.body.frame().await {
                Some(frame) => {
                    if let Ok(data) = frame.map_err(ApiError::Connection)?.into_data() {
                        self.pending.extend_from_slice(&data);
                    }
                }
                None if self.pending.iter().all(u8::is_ascii_whitespace) => return Ok(None),
                None => {
                    self.pending.clear();
                    return Err(ApiError::Read(std::io::ErrorKind::UnexpectedEof.into()));
                }
            }
        }
    }
}

/// Takes one whole value off the front of `pending`, if there is one.
fn take_value<T: DeserializeOwned>(pending: &mut BytesMut) -> Result<Option<T>, ApiError> {
    let mut values = serde_json::Deserializer::from_slice(pending).into_iter::<T>();
    match values.next() {
        None => Ok(None),
        Some(Ok(value)) => {
            let used = values.byte_offset();
            pending.advance(used);
            Ok(Some(value))
        }
        Some(Err(error)) if error.is_eof() => Ok(None),
        Some(Err(source)) => Err(ApiError::Unreadable {
            what: "a stream".to_owned(),
            source,
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    #[test]
    fn values_are_taken_whole() {
        let mut pending = BytesMut::from(&b"{\"a\":1}\r\n{\"b\":\"x\ny\"}{\"c\""[..]);
        assert_eq!(
            take_value::<Value>(&mut pending).unwrap(),
            Some(json!({"a": 1}))
        );
        // A bare newline inside a string is an error of the sender.
        assert!(take_value::<Value>(&mut pending).is_err());

        let mut pending = BytesMut::from(&b"{\"b\":2}{\"c\""[..]);
        assert_eq!(
            take_value::<Value>(&mut pending).unwrap(),
            Some(json!({"b": 2}))
        );
        assert_eq!(take_value::<Value>(&mut pending).unwrap(), None);
        pending.extend_from_slice(b":3}");
        assert_eq!(
            take_value::<Value>(&mut pending).unwrap(),
            Some(json!({"c": 3}))
        );
    }
}
