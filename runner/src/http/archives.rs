//! Containers and archives as images, images as archives.

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse as _, Response};
use futures_util::{StreamExt as _, stream};
use http::StatusCode;
use http::header::CONTENT_TYPE;

use super::Result;
use super::convert::{config_from_wire, progress_to_wire};
use super::error::ApiError;
use super::request::{JsonBody, Name, Query, StreamBody};
use super::stream::{LineEnd, json_lines, tar_body};
use super::wire;
use crate::engine::{ByteStream, CommitContainer, Engine, ImportImage, Progress};

const TAR: &str = "application/x-tar";

pub(super) async fn commit(
    State(engine): State<Engine>,
    query: Query,
    JsonBody(config): JsonBody<wire::Config>,
) -> Result<Response> {
    let container = query.given("container");
    let request = CommitContainer {
        container: container
            .ok_or_else(|| ApiError::bad_parameter("container is missing"))?
            .to_owned(),
        repository: query.text("repo").to_owned(),
        tag: query.given("tag").map(str::to_owned),
        author: query.text("author").to_owned(),
        comment: query.text("comment").to_owned(),
        pause: query.flag_or("pause", true),
        changes: query.all("changes").map(str::to_owned).collect(),
        config: config_from_wire(config)?,
    };
    let id = engine.commit_container(request).await?;
    Ok((StatusCode::CREATED, Json(wire::Id { id })).into_response())
}

/// `POST /images/create` with `fromSrc`.
pub(super) async fn import(
    engine: Engine,
    source: &str,
    query: &Query,
    body: ByteStream,
) -> Result<Response> {
    if source != "-" {
        return Err(ApiError::not_implemented(
            "importing from a URL is not supported by this engine; download it and send it \
             instead: curl URL | docker import -",
        ));
    }
    let request = ImportImage {
        repository: query.text("repo").to_owned(),
        tag: query.given("tag").map(str::to_owned),
        message: query.text("message").to_owned(),
        changes: query.all("changes").map(str::to_owned).collect(),
        platform: query.given("platform").map(str::to_owned),
    };
    let id = engine.import_image(request, body).await?;
    let line = Progress {
        status: id,
        ..Progress::default()
    };
    let lines = stream::iter([Ok(line)]);
    Ok(json_lines(lines.map(progress_to_wire), LineEnd::CrLf))
}

pub(super) async fn save_all(State(engine): State<Engine>, query: Query) -> Result<Response> {
    let names: Vec<String> = query
        .all("names")
        .flat_map(|names| names.split(','))
        .map(str::to_owned)
        .collect();
    save(&engine, &names, &query).await
}

pub(super) async fn save_one(
    State(engine): State<Engine>,
    Name(image): Name,
    query: Query,
) -> Result<Response> {
    save(&engine, &[image], &query).await
}

async fn save(engine: &Engine, names: &[String], query: &Query) -> Result<Response> {
    for name in names {
        engine.check_platforms(name, query.all("platform"))?;
    }
    let tar = engine.save_images(names).await?;
    Ok(([(CONTENT_TYPE, TAR)], tar_body(tar)).into_response())
}

pub(super) async fn load(
    State(engine): State<Engine>,
    query: Query,
    StreamBody(body): StreamBody,
) -> Result<Response> {
    // The archive is on its way already: what is in it is not known before it is here.
    if query.given("platform").is_some() {
        return Err(ApiError::not_implemented(
            "choosing a platform of loaded images is not supported by this engine",
        ));
    }
    let lines = engine.load_images(body).await?;
    Ok(json_lines(lines.map(progress_to_wire), LineEnd::CrLf))
}
