//! Files of a container, as tar.

use axum::extract::State;
use axum::response::{IntoResponse as _, Response};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::header::CONTENT_TYPE;
use http::{HeaderName, StatusCode};

use super::Container;
use crate::engine::{Engine, PutArchive};
use crate::http::Result;
use crate::http::convert::path_stat_to_wire;
use crate::http::error::ApiError;
use crate::http::request::{Query, StreamBody};
use crate::http::stream::tar_body;

const PATH_STAT: HeaderName = HeaderName::from_static("x-docker-container-path-stat");
const TAR: &str = "application/x-tar";

fn path(query: &Query) -> Result<&str> {
    let path = query.given("path");
    path.ok_or_else(|| ApiError::bad_parameter("bad parameter: path cannot be empty"))
}

/// base64 of JSON: a name may hold bytes that a header may not.
fn path_stat_header(stat: crate::engine::PathStat) -> Result<String> {
    let json = serde_json::to_vec(&path_stat_to_wire(stat));
    let json = json.map_err(|error| ApiError::bad_parameter(error.to_string()))?;
    Ok(STANDARD.encode(json))
}

pub(crate) async fn stat_archive(
    State(engine): State<Engine>,
    Container(container): Container,
    query: Query,
) -> Result<Response> {
    let stat = engine.stat_archive(&container, path(&query)?).await?;
    Ok([(PATH_STAT, path_stat_header(stat)?)].into_response())
}

pub(crate) async fn get_archive(
    State(engine): State<Engine>,
    Container(container): Container,
    query: Query,
) -> Result<Response> {
    let (stat, tar) = engine.get_archive(&container, path(&query)?).await?;
    let headers = [
        (PATH_STAT, path_stat_header(stat)?),
        (CONTENT_TYPE, TAR.to_owned()),
    ];
    Ok((headers, tar_body(tar)).into_response())
}

pub(crate) async fn put_archive(
    State(engine): State<Engine>,
    Container(container): Container,
    query: Query,
    StreamBody(body): StreamBody,
) -> Result<StatusCode> {
    let request = PutArchive {
        path: path(&query)?.to_owned(),
        no_overwrite_dir_non_dir: query.flag("noOverwriteDirNonDir"),
        copy_uid_gid: query.flag("copyUIDGID"),
    };
    engine.put_archive(&container, request, body).await?;
    Ok(StatusCode::OK)
}

pub(crate) async fn export(
    State(engine): State<Engine>,
    Container(container): Container,
) -> Result<Response> {
    let tar = engine.export_container(&container).await?;
    Ok(([(CONTENT_TYPE, TAR)], tar_body(tar)).into_response())
}
