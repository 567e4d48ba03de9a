//! Answers to a 401: what a challenge asks for is looked up, fetched, and kept.

use http::{HeaderValue, Method, StatusCode, header};

use super::challenge::{self, Challenge};
use super::error::refused;
use super::scope::Scope;
use super::token::{self, Grant, Realm, Wanted};
use super::{Client, ClientError, Credentials};

/// Answers the challenges of a refusal: the header to try again with, or `None` when there is
/// nothing that we could show. `tried` is the header that was refused.
pub(super) async fn answer(
    client: &Client,
    wanted: &Wanted,
    tried: Option<&HeaderValue>,
    refusal: &reqwest::Response,
) -> Result<Option<HeaderValue>, ClientError> {
    if matches!(wanted.credentials, Credentials::RegistryToken(_)) {
        return Ok(None);
    }
    let _turn = client.tokens().turn(wanted).await;
    // Somebody else may have fetched it while we waited.
    if let Some(known) = client.tokens().known(wanted)
        && Some(&known) != tried
    {
        return Ok(Some(known));
    }
    let headers = refusal.headers().get_all(header::WWW_AUTHENTICATE);
    let texts = headers.iter().filter_map(|value| value.to_str().ok());
    for challenge in texts.flat_map(challenge::parse) {
        if let Some(grant) = meet(client, wanted, challenge).await? {
            let header = grant.header.clone();
            client.tokens().keep(wanted.clone(), grant);
            return Ok(Some(header));
        }
    }
    Ok(None)
}

async fn meet(
    client: &Client,
    wanted: &Wanted,
    challenge: Challenge,
) -> Result<Option<Grant>, ClientError> {
    match challenge {
        Challenge::Bearer {
            realm,
            service,
            scope,
        } => {
            let realm = Realm {
                url: realm,
                service,
                scope,
            };
            token::fetch(client, wanted, &realm).await.map(Some)
        }
        Challenge::Basic => Ok(wanted.credentials.basic_header().map(|header| Grant {
            header,
            expires: None,
        })),
    }
}

/// Asks `/v2/` (end-1) until it lets us in or says no.
pub(super) async fn login(
    client: &Client,
    host: &str,
    credentials: &Credentials,
) -> Result<(), ClientError> {
    let wanted = Wanted {
        host: host.to_owned(),
        scope: Scope::default(),
        credentials: credentials.clone(),
    };
    let connection = client.host(host).await?;
    let url = format!("{}/v2/", connection.base().await?);
    let send = async |header: Option<HeaderValue>| {
        let mut request = connection.http().get(&url);
        if let Some(header) = header {
            request = request.header(header::AUTHORIZATION, header);
        }
        let answer = request.send().await;
        answer.map_err(|error| ClientError::request(&Method::GET, &url, error))
    };
    let tried = match credentials {
        Credentials::RegistryToken(_) => client.tokens().known(&wanted),
        Credentials::None | Credentials::Basic { .. } | Credentials::IdentityToken(_) => None,
    };
    // What was kept from an earlier login proves nothing about these credentials now.
    let kept = client.tokens().known(&wanted);
    let mut answer = send(tried).await?;
    if answer.status() == StatusCode::UNAUTHORIZED
        && let Some(header) = self::answer(client, &wanted, kept.as_ref(), &answer).await?
    {
        answer = send(Some(header)).await?;
    }
    if answer.status().is_success() {
        Ok(())
    } else {
        Err(refused(format!("login to {host}"), answer).await)
    }
}
