//! Images.

use axum::Json;
use axum::extract::State;
use axum::response::Response;
use futures_util::StreamExt as _;
use http::StatusCode;

use super::Result;
use super::archives;
use super::convert::{
    history_to_wire, image_inspect_to_wire, image_summary_to_wire, none_if_empty, progress_to_wire,
    removals_to_wire,
};
use super::error::ApiError;
use super::request::{Name, Query, RegistryAuthHeader, StreamBody, Version};
use super::stream::{LineEnd, json_lines};
use super::target::ApiVersion;
use super::wire;
use crate::engine::{Engine, ListImages, PullImage, PushImage, RemoveImage, SearchImages};

/// `manifests` of a list and of an image came with these.
const WITH_MANIFESTS_IN_LISTS: ApiVersion = ApiVersion::new(1, 47);
const WITH_MANIFESTS_IN_DETAILS: ApiVersion = ApiVersion::new(1, 48);

pub(super) async fn list(
    State(engine): State<Engine>,
    Version(version): Version,
    query: Query,
) -> Result<Json<Vec<wire::ImageSummary>>> {
    let request = ListImages {
        all: query.flag("all"),
        shared_size: query.flag("shared-size"),
        manifests: query.flag("manifests") && version >= WITH_MANIFESTS_IN_LISTS,
        filters: query.filters()?,
    };
    let images = engine.list_images(request).await?;
    let wire = images
        .iter()
        .map(|image| image_summary_to_wire(image, version));
    Ok(Json(wire.collect()))
}

/// Pull, or with `fromSrc` import.
pub(super) async fn create(
    State(engine): State<Engine>,
    RegistryAuthHeader(credentials): RegistryAuthHeader,
    query: Query,
    StreamBody(body): StreamBody,
) -> Result<Response> {
    if let Some(source) = query.given("fromSrc") {
        return archives::import(engine, source, &query, body).await;
    }
    let image = query.given("fromImage");
    let request = PullImage {
        image: image
            .ok_or_else(|| ApiError::bad_parameter("fromImage is missing"))?
            .to_owned(),
        tag: query.given("tag").map(str::to_owned),
        platform: query.given("platform").map(str::to_owned),
        credentials,
    };
    let lines = engine.pull_image(request).await?;
    Ok(json_lines(lines.map(progress_to_wire), LineEnd::CrLf))
}

pub(super) async fn push(
    State(engine): State<Engine>,
    Name(image): Name,
    RegistryAuthHeader(credentials): RegistryAuthHeader,
    query: Query,
) -> Result<Response> {
    let request = PushImage {
        // Without a tag Docker pushes every tag the name has.
        all_tags: query.given("tag").is_none() && !has_tag(&image),
        image,
        tag: query.given("tag").map(str::to_owned),
        platform: query.given("platform").map(str::to_owned),
        credentials,
    };
    let lines = engine.push_image(request).await?;
    Ok(json_lines(lines.map(progress_to_wire), LineEnd::CrLf))
}

pub(super) async fn distribution(
    State(engine): State<Engine>,
    RegistryAuthHeader(credentials): RegistryAuthHeader,
    Name(name): Name,
) -> Result<Json<wire::DistributionInspect>> {
    let image = engine.inspect_distribution(&name, credentials).await?;
    Ok(Json(wire::DistributionInspect {
        descriptor: image.descriptor,
        platforms: image.platforms,
    }))
}

pub(super) async fn search(
    State(engine): State<Engine>,
    RegistryAuthHeader(credentials): RegistryAuthHeader,
    query: Query,
) -> Result<Json<Vec<wire::SearchResult>>> {
    let request = SearchImages {
        term: query.text("term").to_owned(),
        // The command line says 0 for "as many as usual".
        limit: query.number("limit")?.filter(|limit| *limit != 0),
        filters: query.filters()?,
        credentials,
    };
    let found = engine.search_images(request).await?.into_iter();
    let wire = found.map(|found| wire::SearchResult {
        star_count: found.star_count,
        is_official: found.is_official,
        name: found.name,
        is_automated: found.is_automated,
        description: found.description,
    });
    Ok(Json(wire.collect()))
}

/// A colon after the last slash is a tag; one before it is a port.
fn has_tag(image: &str) -> bool {
    image
        .rsplit('/')
        .next()
        .is_some_and(|name| name.contains(':'))
}

pub(super) async fn inspect(
    State(engine): State<Engine>,
    Version(version): Version,
    Name(image): Name,
    query: Query,
) -> Result<Json<wire::ImageInspect>> {
    engine.check_platforms(&image, query.given("platform"))?;
    let manifests = query.flag("manifests") && version >= WITH_MANIFESTS_IN_DETAILS;
    if manifests && query.given("platform").is_some() {
        return Err(ApiError::bad_parameter(
            "conflicting options: manifests and platform options cannot both be set",
        ));
    }
    let view = engine.inspect_image(&image, manifests).await?;
    Ok(Json(image_inspect_to_wire(&view, version)))
}

pub(super) async fn history(
    State(engine): State<Engine>,
    Name(image): Name,
    query: Query,
) -> Result<Json<Vec<wire::HistoryLine>>> {
    engine.check_platforms(&image, query.given("platform"))?;
    let lines = engine.image_history(&image).await?;
    Ok(Json(lines.into_iter().map(history_to_wire).collect()))
}

pub(super) async fn tag(
    State(engine): State<Engine>,
    Name(image): Name,
    query: Query,
) -> Result<StatusCode> {
    let (repository, tag) = (query.text("repo"), query.given("tag"));
    engine.tag_image(&image, repository, tag).await?;
    Ok(StatusCode::CREATED)
}

pub(super) async fn remove(
    State(engine): State<Engine>,
    Name(image): Name,
    query: Query,
) -> Result<Json<Vec<wire::Removed>>> {
    engine.check_platforms(&image, query.all("platforms"))?;
    let options = RemoveImage {
        force: query.flag("force"),
        keep_parents: query.flag("noprune"),
    };
    let removals = engine.remove_image(&image, options).await?;
    Ok(Json(removals_to_wire(removals)))
}

pub(super) async fn prune(
    State(engine): State<Engine>,
    query: Query,
) -> Result<Json<wire::PrunedImages>> {
    let pruned = engine.prune_images(query.filters()?).await?;
    Ok(Json(wire::PrunedImages {
        images_deleted: none_if_empty(removals_to_wire(pruned.removed)),
        space_reclaimed: pruned.reclaimed_bytes,
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_is_no_tag() {
        for (image, expected) in [
            ("busybox", false),
            ("busybox:1", true),
            ("host:5000/team/app", false),
            ("host:5000/team/app:1", true),
        ] {
            assert_eq!(has_tag(image), expected, "{image}");
        }
    }
}
