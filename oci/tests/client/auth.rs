//! Credentials, challenges and tokens.

use std::time::Duration;

use axum::extract::Request;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use hythe_oci::client::{Client, ClientConfig, ClientError, Credentials, Secret};

use crate::support::{
    Diary, ROBOT, authorization, content, host_of, manifest, repository, repository_of, robot,
    serve, serve_slowly, tag,
};

/// A 401 that sends to `/token` of the same host for `scope`.
fn challenge(request: &Request, scope: &str) -> Response {
    let host = host_of(request);
    let challenge = format!(r#"Bearer realm="http://{host}/token",service="S",scope="{scope}""#);
    (
        StatusCode::UNAUTHORIZED,
        [(header::WWW_AUTHENTICATE, challenge)],
    )
        .into_response()
}

/// The decoded query of a request for a token.
fn query(request: &Request) -> Vec<(String, String)> {
    let query = request.uri().query().unwrap_or_default();
    url::form_urlencoded::parse(query.as_bytes())
        .into_owned()
        .collect()
}

#[tokio::test]
async fn a_challenge_is_answered_and_the_token_is_kept() {
    let diary = Diary::default();
    let written = diary.clone();
    let host = serve(move |request| match request.uri().path() {
        "/token" => {
            written.write("token");
            let query = query(&request);
            for (key, value) in [("service", "S"), ("scope", "repository:team/app:pull")] {
                assert!(query.contains(&(key.into(), value.into())), "{query:?}");
            }
            assert_eq!(authorization(request.headers()), Some(ROBOT));
            r#"{"token":"good","expires_in":300}"#.into_response()
        }
        _ if authorization(request.headers()) == Some("Bearer good") => manifest(),
        _ => challenge(&request, "repository:team/app:pull"),
    })
    .await;
    let repository = repository(&host, robot());
    for _ in 0..3 {
        repository.get_manifest(&tag()).await.unwrap();
    }
    assert_eq!(diary.entries(), ["token"]);
}

#[tokio::test]
async fn many_requests_at_once_need_one_token() {
    let diary = Diary::default();
    let written = diary.clone();
    let host = serve_slowly(move |request: Request| {
        let written = written.clone();
        async move {
            if request.uri().path() == "/token" {
                written.write("token");
                // Long enough for all the others to be refused meanwhile.
                tokio::time::sleep(Duration::from_millis(100)).await;
                return r#"{"access_token":"good"}"#.into_response();
            }
            match authorization(request.headers()) {
                Some("Bearer good") => manifest(),
                _ => challenge(&request, "repository:team/app:pull"),
            }
        }
    })
    .await;
    let repository = repository(&host, Credentials::None);
    let reference = tag();
    let requests = (0..10).map(|_| repository.get_manifest(&reference));
    futures_util::future::try_join_all(requests).await.unwrap();
    assert_eq!(diary.count("token"), 1);
}

#[tokio::test]
async fn a_token_that_is_refused_is_replaced() {
    let diary = Diary::default();
    let written = diary.clone();
    let host = serve(move |request| {
        let good = format!(
            "Bearer {}",
            written.count("token") + written.count("revoked")
        );
        match request.uri().path() {
            "/token" => {
                let n = written.write("token") + written.count("revoked");
                format!(r#"{{"token":"{n}"}}"#).into_response()
            }
            _ if authorization(request.headers()) == Some(&good) => manifest(),
            _ => challenge(&request, "repository:team/app:pull"),
        }
    })
    .await;
    let repository = repository(&host, Credentials::None);
    repository.get_manifest(&tag()).await.unwrap();
    diary.write("revoked");
    repository.get_manifest(&tag()).await.unwrap();
    assert_eq!(diary.count("token"), 2);
}

#[tokio::test]
async fn an_identity_token_is_exchanged_by_post() {
    let host = serve_slowly(|request: Request| async move {
        if request.uri().path() != "/token" {
            return match authorization(request.headers()) {
                Some("Bearer good") => manifest(),
                _ => challenge(&request, "repository:team/app:pull"),
            };
        }
        assert_eq!(request.method(), "POST");
        assert_eq!(authorization(request.headers()), None);
        let body = content(request.into_body()).await.unwrap();
        let fields: Vec<_> = url::form_urlencoded::parse(&body).into_owned().collect();
        for (key, value) in [
            ("grant_type", "refresh_token"),
            ("refresh_token", "mine"),
            ("service", "S"),
            ("scope", "repository:team/app:pull"),
        ] {
            assert!(fields.contains(&(key.into(), value.into())), "{fields:?}");
        }
        r#"{"access_token":"good"}"#.into_response()
    })
    .await;
    let repository = repository(&host, Credentials::IdentityToken(Secret::new("mine")));
    repository.get_manifest(&tag()).await.unwrap();
}

#[tokio::test]
async fn a_registry_that_knows_no_tokens_gets_the_password() {
    let host = serve(|request| {
        if authorization(request.headers()) == Some(ROBOT) {
            return manifest();
        }
        let challenge = [(header::WWW_AUTHENTICATE, r#"Basic realm="r""#)];
        (StatusCode::UNAUTHORIZED, challenge).into_response()
    })
    .await;
    repository(&host, robot())
        .get_manifest(&tag())
        .await
        .unwrap();
    let outcome = repository(&host, Credentials::None)
        .get_manifest(&tag())
        .await;
    assert!(
        matches!(outcome, Err(ClientError::Unauthorized { .. })),
        "{outcome:?}"
    );
}

#[tokio::test]
async fn a_login_is_proved_each_time() {
    let host = serve(|request| {
        let is_known = authorization(request.headers()) == Some(ROBOT);
        let is_token = authorization(request.headers()) == Some("Bearer good");
        match request.uri().path() {
            "/token" if is_known => r#"{"token":"good"}"#.into_response(),
            "/token" => {
                let details = r#"{"details":"incorrect username or password"}"#;
                (StatusCode::UNAUTHORIZED, details).into_response()
            }
            _ if is_token => "{}".into_response(),
            _ => challenge(&request, ""),
        }
    })
    .await;
    let client = Client::new(ClientConfig::default()).unwrap();
    client.login(&host, &robot()).await.unwrap();
    let wrong = Credentials::Basic {
        user: "robot".into(),
        password: Secret::new("guess"),
    };
    let error = client.login(&host, &wrong).await.unwrap_err();
    assert!(matches!(error, ClientError::Unauthorized { .. }), "{error}");
    let text = error.to_string();
    assert!(text.ends_with(": incorrect username or password"), "{text}");
    assert!(!text.contains("guess"));
}

#[tokio::test]
async fn a_bearer_token_of_the_user_is_used_as_it_is() {
    let diary = Diary::default();
    let written = diary.clone();
    let host = serve(move |request| match request.uri().path() {
        "/token" => {
            written.write("token");
            r#"{"token":"anonymous"}"#.into_response()
        }
        _ => match authorization(request.headers()) {
            Some("Bearer mine") => manifest(),
            _ => challenge(&request, "repository:team/app:pull"),
        },
    })
    .await;
    let client = Client::new(ClientConfig::default()).unwrap();
    let token = |text: &str| Credentials::RegistryToken(Secret::new(text));
    let mine = repository_of(&client, &host, token("mine"));
    mine.get_manifest(&tag()).await.unwrap();
    let other = repository_of(&client, &host, token("other"));
    let outcome = other.get_manifest(&tag()).await;
    assert!(
        matches!(outcome, Err(ClientError::Unauthorized { .. })),
        "{outcome:?}"
    );
    assert_eq!(diary.count("token"), 0, "nobody asked to be anonymous");
}

#[tokio::test]
async fn a_refusal_says_what_was_refused_and_why() {
    let host = serve(|_| {
        let body = r#"{"errors":[{"code":"DENIED","message":"you may not pull this"}]}"#;
        (StatusCode::FORBIDDEN, body).into_response()
    })
    .await;
    let outcome = repository(&host, Credentials::None)
        .get_manifest(&tag())
        .await;
    let error = outcome.unwrap_err();
    let expected = format!("{host}/team/app:1: denied: you may not pull this");
    assert_eq!(error.to_string(), expected);
    assert!(matches!(error, ClientError::Unauthorized { .. }));
}

#[test]
fn secrets_do_not_show() {
    assert!(!format!("{:?}", robot()).contains("s3cret"));
}
