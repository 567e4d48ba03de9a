//! What a caller needs for each route, and the answer to those that lack it.
//!
//! 401 says "come back with credentials, or with a token for this scope", and
//! names where such tokens are issued (distribution `docs/spec/auth/token.md`);
//! 403 says that coming back is no use.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use http::header::{self, HeaderValue};
use http::request::Parts;
use hythe_oci::RepositoryName;

use super::answer::text;
use super::client::{Secured, address_of};
use super::error::{ApiError, ErrorCode};
use super::facts_route::FactsRoute;
use super::route::Route;
use super::{Api, audit};
use crate::auth::{Action, Caller, Missing, Network, Presented, Refused, Scope, Throttle};
use crate::config::{HttpConfig, Secret};

/// What a route asks of its caller.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Need<'a> {
    /// Anybody may.
    Nothing,
    /// To have proven who they are, or to show a token that says they need not.
    Proof,
    /// One of these rights to that repository.
    OneOf(&'a RepositoryName, &'static [Action]),
    /// To be told which repositories there are; those that they may pull.
    Lists,
    /// To administer the whole registry.
    Administration,
}

/// Sent by docker with its searches, and by nobody else.
const DOCKER_SEARCH: &str = "x-docker-token";

const PULL: &[Action] = &[Action::Pull];
const PUSH: &[Action] = &[Action::Push];
const DELETE: &[Action] = &[Action::Delete];
const ADMIN: &[Action] = &[Action::Admin];
/// Who may add to a repository may ask what is there already; every client that
/// pushes does.
const PULL_OR_PUSH: &[Action] = &[Action::Pull, Action::Push];

impl FactsRoute {
    fn need(&self) -> Need<'_> {
        match self {
            Self::ListRepositories => Need::Lists,
            Self::DescribeRepository(name)
            | Self::GiveStar(name)
            | Self::TakeStar(name)
            | Self::ListTags(name)
            | Self::DescribeTag(name, _)
            | Self::TagHistory(name, _) => Need::OneOf(name, PULL),
            Self::RestoreTag(name, _) => Need::OneOf(name, PUSH),
            Self::ChangeRepository(name) => Need::OneOf(name, ADMIN),
            Self::DeleteRepository(name) => Need::OneOf(name, DELETE),
            Self::ListPolicies | Self::SetPolicy(_) => Need::Administration,
            Self::OpenApi => Need::Nothing,
        }
    }
}

impl Route {
    /// What it asks of its caller. A mount also needs to pull from where the
    /// blob is, which its handler sees to.
    pub(super) fn need(&self) -> Need<'_> {
        match self {
            Self::Health
            | Self::Ready
            | Self::Metrics
            | Self::SearchPing
            | Self::GetToken
            | Self::PostToken
            | Self::Jwks => Need::Nothing,
            Self::Ping => Need::Proof,
            Self::HeadBlob(name, _) | Self::HeadManifest(name, _) => {
                Need::OneOf(name, PULL_OR_PUSH)
            }
            Self::GetBlob(name, _)
            | Self::GetManifest(name, _)
            | Self::ListTags(name)
            | Self::ListReferrers(name, _) => Need::OneOf(name, PULL),
            Self::PutManifest(name, _)
            | Self::StartUpload(name)
            | Self::UploadStatus(name, _)
            | Self::AppendChunk(name, _)
            | Self::CompleteUpload(name, _)
            | Self::CancelUpload(name, _) => Need::OneOf(name, PUSH),
            Self::DeleteBlob(name, _) | Self::DeleteManifest(name, _) => Need::OneOf(name, DELETE),
            Self::ListRepositories | Self::Search => Need::Lists,
            Self::Facts(route) => route.need(),
            Self::Api(endpoint) => endpoint.need(),
        }
    }
}

/// Somebody who was not let in, as far as it is known who they are.
#[derive(Debug)]
pub(super) struct Turned {
    pub(super) caller: Caller,
    pub(super) error: ApiError,
}

impl From<ApiError> for Turned {
    fn from(error: ApiError) -> Self {
        let caller = Caller::nobody();
        Self { caller, error }
    }
}

/// Who sends this request, and whether they may.
pub(super) async fn admit(api: &Api, need: Need<'_>, request: &Parts) -> Result<Caller, Turned> {
    if need == Need::Nothing {
        return Ok(Caller::nobody());
    }
    let presented = presented(request)?;
    let caller = identify(api, &presented, request).await;
    let caller = caller.map_err(|refused| {
        let error = refusal(api, &refused, need, request);
        audit::refused(api, &presented, &error, request);
        error
    })?;
    api.rates.take(&caller, request)?;
    // Docker's search without a login has nothing to show and asks but once;
    // podman's asks again elsewhere when it is told to show something.
    let shows_nothing = matches!(presented, Presented::Nothing)
        && !(need == Need::Lists && request.headers.contains_key(DOCKER_SEARCH));
    match missing(&caller, need, shows_nothing) {
        None => Ok(caller),
        Some(missing) => {
            let error = refuse(api, &caller, (need, missing), request);
            Err(Turned { caller, error })
        }
    }
}

/// How often somebody may ask.
#[derive(Debug)]
pub(super) struct Rates {
    addresses: Throttle<Network>,
    accounts: Throttle<String>,
}

impl Rates {
    pub(super) fn new(config: &HttpConfig) -> Self {
        Self {
            addresses: Throttle::new(config.requests_per_minute_of_address),
            accounts: Throttle::new(config.requests_per_minute_of_account),
        }
    }

    /// An account is counted wherever it asks from; who has none, by address.
    fn take(&self, caller: &Caller, request: &Parts) -> Result<(), ApiError> {
        let taken = match (caller.name(), address_of(request)) {
            (Some(name), _) => self.accounts.take(name.to_owned()),
            (None, Some(address)) => self.addresses.take(Network::from(address)),
            (None, None) => Ok(()),
        };
        taken.map_err(|often| {
            let message = "too many requests; come again a little later";
            ApiError::too_many(message, often.retry_after)
        })
    }
}

/// Who the credentials of a request are for.
pub(super) async fn identify(
    api: &Api,
    presented: &Presented,
    request: &Parts,
) -> Result<Caller, Refused> {
    api.auth.identify(presented, address_of(request)).await
}

/// What a request shows of its sender.
pub(super) fn presented(request: &Parts) -> Result<Presented, ApiError> {
    let Some(value) = request.headers.get(header::AUTHORIZATION) else {
        let shown = request.extensions.get::<CertificateName>();
        let by_name = |shown: &CertificateName| Presented::Certificate(shown.0.to_string());
        return Ok(shown.map_or(Presented::Nothing, by_name));
    };
    // Never repeated in an answer or a log.
    parse(value).ok_or_else(|| {
        ApiError::bad_request(
            ErrorCode::Unauthorized,
            "the Authorization header is neither Basic nor Bearer",
        )
    })
}

fn parse(value: &HeaderValue) -> Option<Presented> {
    let (scheme, rest) = value.to_str().ok()?.split_once(' ')?;
    let rest = rest.trim();
    if scheme.eq_ignore_ascii_case("bearer") {
        return Some(Presented::Bearer(Secret::new(rest)));
    }
    if !scheme.eq_ignore_ascii_case("basic") {
        return None;
    }
    let decoded = String::from_utf8(BASE64_STANDARD.decode(rest).ok()?).ok()?;
    let (name, secret) = decoded.split_once(':')?;
    // Some clients send an empty pair for "nobody".
    if name.is_empty() && secret.is_empty() {
        return Some(Presented::Nothing);
    }
    Some(Presented::Basic {
        name: name.to_owned(),
        secret: Secret::new(secret),
    })
}

/// What a caller lacks for a need.
fn missing(caller: &Caller, need: Need<'_>, shows_nothing: bool) -> Option<Missing> {
    match need {
        Need::Nothing => None,
        Need::Proof => (caller.is_anonymous() && shows_nothing).then_some(Missing::Identity),
        Need::OneOf(name, actions) => {
            let missing = actions.iter().map(|action| caller.missing(*action, name));
            // The least of what is missing: a token for one of them would do.
            missing.min_by_key(|missing| match missing {
                None => 0,
                Some(Missing::Scope) => 1,
                Some(Missing::Identity | Missing::Limit | Missing::Right) => 2,
            })?
        }
        Need::Lists if caller.is_anonymous() && shows_nothing => Some(Missing::Identity),
        Need::Lists => caller.missing_for_lists(),
        Need::Administration if caller.administers() => None,
        Need::Administration if caller.is_anonymous() => Some(Missing::Identity),
        Need::Administration => Some(Missing::Right),
    }
}

fn refuse(
    api: &Api,
    caller: &Caller,
    (need, missing): (Need<'_>, Missing),
    request: &Parts,
) -> ApiError {
    let what = match need {
        Need::OneOf(name, actions) => {
            let words: Vec<&str> = actions.iter().map(|action| action.as_str()).collect();
            format!("{} {name}", words.join(" or "))
        }
        Need::Administration => "administer this registry".to_owned(),
        Need::Nothing | Need::Proof | Need::Lists => "use this registry".to_owned(),
    };
    let who = caller.label();
    match missing {
        Missing::Identity => ApiError::unauthorized(
            format!("authentication required: nobody may {what} without an account"),
            challenge(api, request, need, None),
        ),
        Missing::Scope => ApiError::unauthorized(
            format!("this token is not for that: it does not say that {who} may {what}"),
            challenge(api, request, need, Some("insufficient_scope")),
        ),
        Missing::Limit => ApiError::denied(format!("this API token of {who} may not {what}")),
        Missing::Right => ApiError::denied(format!("{who} may not {what}")),
    }
}

/// The answer to credentials that we do not take.
pub(super) fn refusal(api: &Api, refused: &Refused, need: Need<'_>, request: &Parts) -> ApiError {
    let message = refused.to_string();
    match refused {
        Refused::TooOften { retry_after } => ApiError::too_many(message, *retry_after),
        Refused::Busy => ApiError::too_many(message, std::time::Duration::from_secs(1)),
        Refused::Db(error) => ApiError::of_accounts(error),
        Refused::Token(_) => {
            let challenge = challenge(api, request, need, Some("invalid_token"));
            ApiError::unauthorized(message, challenge)
        }
        _ => ApiError::unauthorized(message, challenge(api, request, need, None)),
    }
}

/// Where tokens are issued, and for what scope one is needed.
fn challenge(api: &Api, request: &Parts, need: Need<'_>, error: Option<&'static str>) -> String {
    let mut challenge = format!(
        "Bearer realm=\"{}/token\",service=\"{}\"",
        base_url(api, request),
        api.auth.service()
    );
    let scope = match need {
        Need::OneOf(name, actions) => {
            // Who asks what is there is about to push, maybe, and some clients
            // fetch one token for all of it. A right that they lack is left out.
            let actions = if actions == PUSH {
                PULL_OR_PUSH
            } else {
                actions
            };
            Some(Scope::needed(name.as_str(), actions.iter().copied()).to_string())
        }
        Need::Lists => Some("registry:catalog:*".to_owned()),
        Need::Nothing | Need::Proof | Need::Administration => None,
    };
    let more = [("scope", scope), ("error", error.map(str::to_owned))];
    for (word, value) in more {
        if let Some(value) = value {
            challenge.extend([",", word, "=\"", &value, "\""]);
        }
    }
    challenge
}

/// The address of this registry as the client knows it.
pub(super) fn base_url(api: &Api, request: &Parts) -> String {
    if let Some(url) = &api.config.external_url {
        return url.as_str().trim_end_matches('/').to_owned();
    }
    let scheme = if request.extensions.get::<Secured>().is_some() {
        "https"
    } else {
        "http"
    };
    let host = match request.uri.authority() {
        Some(authority) => Some(authority.as_str()),
        None => text(&request.headers, header::HOST),
    };
    // What is no host goes into no header.
    let known = |host: &&str| {
        host.bytes()
            .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b':' | b'[' | b']'))
    };
    let fallback = api.config.listen.to_string();
    format!("{scheme}://{}", host.filter(known).unwrap_or(&fallback))
}

/// The name in the certificate that a request's sender showed.
#[derive(Clone, Debug)]
pub(super) struct CertificateName(pub(super) std::sync::Arc<str>);
