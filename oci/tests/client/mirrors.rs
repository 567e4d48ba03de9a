//! Mirrors before a host, and redirects behind it.

use std::time::Instant;

use axum::http::{StatusCode, header};
use axum::response::IntoResponse as _;
use hythe_oci::client::{Client, ClientConfig, ClientError, Credentials};
use hythe_oci::{Descriptor, Digest};

use crate::support::{
    Diary, authorization, manifest, repository, repository_of, robot, serve, tag,
};

/// A client for which `mirrors` stand before `host`.
fn mirrored(host: &str, mirrors: &[String]) -> Client {
    let mut config = ClientConfig::default();
    let urls = mirrors
        .iter()
        .map(|mirror| format!("http://{mirror}").parse().unwrap());
    config.mirrors.insert(host.to_owned(), urls.collect());
    Client::new(config).unwrap()
}

#[tokio::test]
async fn mirrors_are_asked_first_and_their_failure_is_not_ours() {
    let broken = serve(|_| StatusCode::INTERNAL_SERVER_ERROR.into_response()).await;
    let gone = "127.0.0.1:1".to_owned();
    let mirror = serve(|request| {
        assert_eq!(request.uri().query(), Some("ns=registry.example.com"));
        let shown = authorization(request.headers());
        assert_eq!(shown, None, "the host's password is the host's");
        manifest()
    })
    .await;
    let client = mirrored("registry.example.com", &[broken, gone, mirror]);
    let repository = repository_of(&client, "registry.example.com", robot());
    repository.get_manifest(&tag()).await.unwrap();
}

#[tokio::test]
async fn a_mirror_that_is_down_is_not_waited_for() {
    let diary = Diary::default();
    let written = diary.clone();
    let mirror = serve(move |_| {
        written.write("mirror");
        StatusCode::BAD_GATEWAY.into_response()
    })
    .await;
    let host = serve(|_| manifest()).await;
    let repository = repository_of(&mirrored(&host, &[mirror]), &host, Credentials::None);
    repository.get_manifest(&tag()).await.unwrap();
    assert_eq!(diary.count("mirror"), 1);
}

#[tokio::test]
async fn what_a_mirror_has_need_still_be_pushed() {
    let mirror = serve(|_| StatusCode::OK.into_response()).await;
    let host = serve(|request| match request.uri().path() {
        "/v2/" => StatusCode::OK.into_response(),
        _ => StatusCode::NOT_FOUND.into_response(),
    })
    .await;
    let repository = repository_of(&mirrored(&host, &[mirror]), &host, Credentials::None);
    let blob = Descriptor::new("x", Digest::of(b"x"), 1);
    assert!(!repository.has_blob(&blob).await.unwrap());
}

#[tokio::test]
async fn a_redirect_to_another_host_takes_no_password_along() {
    let store = serve(|request| {
        assert_eq!(authorization(request.headers()), None);
        assert!(!request.headers().contains_key(header::REFERER));
        manifest()
    })
    .await;
    let host = serve(move |request| {
        if authorization(request.headers()).is_none() {
            let challenge = [(header::WWW_AUTHENTICATE, r#"Basic realm="r""#)];
            return (StatusCode::UNAUTHORIZED, challenge).into_response();
        }
        let location = format!("http://{store}/bucket/7?signature=x");
        (
            StatusCode::TEMPORARY_REDIRECT,
            [(header::LOCATION, location)],
        )
            .into_response()
    })
    .await;
    repository(&host, robot())
        .get_manifest(&tag())
        .await
        .unwrap();
}

#[tokio::test]
async fn a_redirect_in_a_circle_ends() {
    let host = serve(|request| match request.uri().path() {
        "/v2/" => StatusCode::OK.into_response(),
        path => {
            let location = path.to_owned();
            (
                StatusCode::TEMPORARY_REDIRECT,
                [(header::LOCATION, location)],
            )
                .into_response()
        }
    })
    .await;
    let began = Instant::now();
    let outcome = repository(&host, Credentials::None)
        .get_manifest(&tag())
        .await;
    let text = outcome.unwrap_err().to_string();
    assert!(text.ends_with("it redirects in a circle"), "{text}");
    assert!(began.elapsed().as_secs() < 5);
}

#[tokio::test]
async fn a_host_that_speaks_tls_is_not_taken_for_one_that_does_not() {
    // So Go answers who speaks plain http to its TLS port.
    let host = serve(|_| StatusCode::BAD_REQUEST.into_response()).await;
    let outcome = repository(&host, Credentials::None)
        .get_manifest(&tag())
        .await;
    let text = outcome.unwrap_err().to_string();
    assert!(
        text.starts_with(&format!("Get \"https://{host}/v2/\": ")),
        "{text}"
    );
}

#[test]
fn settings_that_make_no_sense_are_refused() {
    for mirror in [
        "ftp://m.test",
        "https://user:s3cret@m.test",
        "https://m.test/?a=b",
        "https://m.test/#a",
    ] {
        let mut config = ClientConfig::default();
        let mirrors = vec![mirror.parse().unwrap()];
        config.mirrors.insert("docker.io".into(), mirrors);
        let error = Client::new(config).unwrap_err();
        assert!(matches!(error, ClientError::Setting { .. }), "{mirror}");
        assert!(!error.to_string().contains("s3cret"), "{error}");
    }
    let config = ClientConfig {
        insecure_registries: vec!["10.0.0.0/99".into()],
        ..ClientConfig::default()
    };
    assert!(Client::new(config).is_err());
}
