//! What the entries of a container in systemd's journal are known by.

use super::record::Record;
use crate::engine::EngineError;
use crate::launch;

/// What docker gives an entry when it is not told otherwise.
const DEFAULT_TAG: &str = "{{.ID}}";

/// Characters of an image id that docker shows here, with its `sha256:`.
const N_OF_IMAGE_ID: usize = 12;

/// The fields that every entry of the container has.
pub(super) fn fields(record: &Record) -> Result<Vec<(String, String)>, EngineError> {
    if !launch::journal_is_there() {
        return Err(failed("journald is not enabled on this host"));
    }
    let tag = tag(record)?;
    let fields = [
        ("CONTAINER_ID", record.id.short()),
        ("CONTAINER_ID_FULL", record.id.as_str()),
        ("CONTAINER_NAME", record.name.as_str()),
        ("CONTAINER_TAG", &tag),
        ("IMAGE_NAME", &record.config.image),
        ("SYSLOG_IDENTIFIER", &tag),
    ];
    Ok(fields
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .into())
}

fn failed(why: &str) -> EngineError {
    EngineError::InvalidParameter(format!("failed to initialize logging driver: {why}"))
}

/// The tag with its fields filled in.
fn tag(record: &Record) -> Result<String, EngineError> {
    let template = match record.host.log.tag.as_str() {
        "" => DEFAULT_TAG,
        given => given,
    };
    let mut tag = String::new();
    let mut rest = template;
    while let Some((before, after)) = rest.split_once("{{") {
        let unknown = || failed(&format!("the tag {template:?} is not understood"));
        let (name, after) = after.split_once("}}").ok_or_else(unknown)?;
        tag.push_str(before);
        tag.push_str(field(record, name.trim()).ok_or_else(unknown)?);
        rest = after;
    }
    tag.push_str(rest);
    Ok(tag)
}

fn field<'a>(record: &'a Record, name: &str) -> Option<&'a str> {
    Some(match name {
        ".ID" => record.id.short(),
        ".FullID" => record.id.as_str(),
        ".Name" => record.name.as_str(),
        ".ImageName" => &record.config.image,
        ".ImageFullID" => &record.image_id,
        ".ImageID" => record.image_id.get(..N_OF_IMAGE_ID)?,
        ".DaemonName" => "docker",
        _ => return None,
    })
}
