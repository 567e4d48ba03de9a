//! Every route on one screen, and what every request has in common: its one
//! line in the log, its metrics, its version header.

use axum::Router;
use axum::body::Body;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::request::Parts;
use http::{HeaderValue, Method, Request};
use tracing::Instrument as _;

use super::answer::API_VERSION;
use super::error::ApiError;
use super::metrics::Observed;
use super::route::Route;
use super::{
    Api, access, api_v1, audit, blobs, client, facts, health, listings, manifests, search, token,
    uploads,
};
use crate::auth::Caller;

/// The whole service. One handler takes every request: where a repository's
/// name ends in a path is decided by [`Route::parse`].
pub(crate) fn router(api: Api) -> Router {
    Router::new()
        .fallback(serve)
        .with_state(api)
        .layer(tower_http::catch_panic::CatchPanicLayer::new())
}

async fn serve(State(api): State<Api>, request: Request<Body>) -> Response {
    let request = from_client(&api, request);
    let has_body = request.method() != Method::HEAD;
    let route = Route::parse(request.method(), request.uri().path());
    let name = route.as_ref().map_or("none", Route::name);
    let observed = Observed::new(name, &request);
    let versioned = request.uri().path().starts_with("/v2");
    let outcome = match route {
        Ok(route) => {
            let span = observed.span().clone();
            let answering = admit(&api, route, request.into_parts());
            answering.instrument(span).await
        }
        Err(error) => Err(error.into()),
    };
    let mut response = outcome.unwrap_or_else(|error| error.for_client(has_body).into_response());
    if versioned {
        response
            .headers_mut()
            .insert(API_VERSION, HeaderValue::from_static("registry/2.0"));
    }
    observed.answered(response)
}

/// The request, with who sent it.
fn from_client(api: &Api, request: Request<Body>) -> Request<Body> {
    let (mut parts, body) = request.into_parts();
    let trusted = &api.config.trusted_proxies;
    client::settle(&mut parts.extensions, &parts.headers, trusted);
    Request::from_parts(parts, body)
}

/// Nothing is done for a caller who may not.
async fn admit(
    api: &Api,
    route: Route,
    (request, body): (Parts, Body),
) -> Result<Response, ApiError> {
    let subject = audit::subject(api, &route);
    let admitted = access::admit(api, route.need(), &request).await;
    let (caller, refused) = match admitted {
        Ok(caller) => (caller, None),
        Err(refused) => (refused.caller, Some(refused.error)),
    };
    let about = subject.map(|subject| (subject, request.clone()));
    let outcome = match refused {
        Some(error) => Err(error),
        None => dispatch(api, route, &caller, (request, body)).await,
    };
    if let Some((subject, request)) = about {
        audit::ended(api, subject, &caller, (&request, &outcome));
    }
    outcome
}

async fn dispatch(
    api: &Api,
    route: Route,
    caller: &Caller,
    (request, body): (Parts, Body),
) -> Result<Response, ApiError> {
    match route {
        Route::Ping => Ok(health::ping()),
        Route::GetBlob(name, digest) => blobs::get(api, &name, &digest, &request).await,
        Route::HeadBlob(name, digest) => blobs::head(api, &name, &digest, &request).await,
        Route::DeleteBlob(name, digest) => blobs::delete(api, &name, &digest).await,
        Route::GetManifest(name, reference) => {
            manifests::get(api, &name, &reference, &request).await
        }
        Route::HeadManifest(name, reference) => {
            manifests::head(api, &name, &reference, &request).await
        }
        Route::PutManifest(name, reference) => {
            manifests::put(api, (name, reference), caller, (request, body)).await
        }
        Route::DeleteManifest(name, reference) => {
            manifests::delete(api, &name, &reference, caller).await
        }
        Route::StartUpload(name) => uploads::start(api, name, caller, (request, body)).await,
        Route::UploadStatus(name, id) => uploads::status(api, &name, id).await,
        Route::AppendChunk(name, id) => uploads::append(api, name, id, (request, body)).await,
        Route::CompleteUpload(name, id) => uploads::complete(api, name, id, (request, body)).await,
        Route::CancelUpload(name, id) => uploads::cancel(api, &name, id).await,
        Route::ListTags(name) => listings::tags(api, &name, &request).await,
        Route::ListReferrers(name, digest) => {
            listings::referrers(api, &name, &digest, &request).await
        }
        Route::ListRepositories => listings::repositories(api, caller, &request).await,
        Route::SearchPing => Ok(search::ping()),
        Route::Facts(route) => facts::serve(api, route, caller, (request, body)).await,
        Route::Search => search::search(api, caller, &request).await,
        Route::GetToken => token::get(api, &request).await,
        Route::PostToken => token::post(api, (request, body)).await,
        Route::Jwks => token::jwks(api, &request).await,
        Route::Api(endpoint) => api_v1::dispatch(api, endpoint, caller, (request, body)).await,
        Route::Health => Ok(health::health()),
        Route::Ready => health::ready(api).await,
        Route::Metrics => Ok(health::metrics()),
    }
}
