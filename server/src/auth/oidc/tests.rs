//! An issuer of the test's own, and tokens that it did and did not make.

use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::sync::atomic::{AtomicUsize, Ordering};

use jsonwebtoken::{EncodingKey, Header};
use serde_json::{Value, json};

use super::super::keys::{self, Keys};
use super::*;

struct Issuer {
    url: String,
    keys: Keys,
    asked: Arc<AtomicUsize>,
}

/// Answers on a thread of its own, until the test ends.
fn issuer() -> Issuer {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let keys = Keys::read(&[keys::generate(1).unwrap()]).unwrap();
    let jwks = keys.to_jwks();
    let asked = Arc::new(AtomicUsize::new(0));
    let (counted, base) = (Arc::clone(&asked), url.clone());
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let mut head = [0; 4096];
            let read = stream.read(&mut head).unwrap();
            let head = String::from_utf8_lossy(&head[..read]).into_owned();
            let body = if head.starts_with("GET /.well-known/openid-configuration ") {
                json!({ "issuer": base, "jwks_uri": format!("{base}/keys") })
            } else {
                counted.fetch_add(1, Ordering::SeqCst);
                jwks.clone()
            };
            let body = body.to_string();
            let answer = format!(
                "HTTP/1.1 200 OK\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}",
                body.len()
            );
            stream.write_all(answer.as_bytes()).unwrap();
        }
    });
    Issuer { url, keys, asked }
}

impl Issuer {
    fn claims(&self) -> Value {
        let now = jsonwebtoken::get_current_timestamp();
        json!({
            "iss": self.url,
            "sub": "repo:team/app:ref:refs/heads/main",
            "aud": ["hythe", "other"],
            "exp": now + 300,
            "iat": now,
        })
    }

    fn sign(&self, claims: &Value) -> String {
        sign(&self.keys, Algorithm::EdDSA, claims)
    }
}

fn sign(keys: &Keys, algorithm: Algorithm, claims: &Value) -> String {
    let key = keys.newest().unwrap();
    let mut header = Header::new(algorithm);
    header.kid = Some(key.id.clone());
    jsonwebtoken::encode(&header, claims, &key.signing).unwrap()
}

fn identity(issuer: &str, subject: &str, audience: &str) -> IdentityRecord {
    IdentityRecord {
        id: format!("{subject} for {audience}"),
        account_id: "ci".to_owned(),
        issuer: issuer.to_owned(),
        subject: subject.to_owned(),
        audience: audience.to_owned(),
        created_at: 1,
    }
}

#[tokio::test]
async fn a_token_stands_for_whom_its_subject_names() {
    let issuer = issuer();
    let issuers = Issuers::new();
    let known = [
        identity(&issuer.url, "repo:else/*", "hythe"),
        identity(&issuer.url, "repo:team/*:ref:refs/heads/main", "hythe"),
    ];
    let token = issuer.sign(&issuer.claims());
    assert!(looks_like_a_token(&token));
    for _ in 0..3 {
        let found = issuers.identity(&token, &known).await.unwrap();
        assert_eq!(found, &known[1]);
    }
    assert_eq!(issuer.asked.load(Ordering::SeqCst), 1, "keys are kept");

    let other = |change: &dyn Fn(&mut Value)| {
        let mut claims = issuer.claims();
        change(&mut claims);
        issuer.sign(&claims)
    };
    let now = jsonwebtoken::get_current_timestamp();
    let mut theirs = Keys::read(&[keys::generate(1).unwrap()]).unwrap();
    let unknown_key = sign(&theirs, Algorithm::EdDSA, &issuer.claims());
    theirs.rename_newest(&issuer.keys.newest().unwrap().id);
    let wrong_key = sign(&theirs, Algorithm::EdDSA, &issuer.claims());
    let secret = {
        let mut header = Header::new(Algorithm::HS256);
        header.kid = Some(issuer.keys.newest().unwrap().id.clone());
        let key = EncodingKey::from_secret(b"x");
        jsonwebtoken::encode(&header, &issuer.claims(), &key).unwrap()
    };
    for (what, token, expected) in [
        (
            "expired",
            other(&|c| c["exp"] = json!(now - 60)),
            TokenError::Expired,
        ),
        (
            "early",
            other(&|c| c["nbf"] = json!(now + 90)),
            TokenError::NotYetValid,
        ),
        (
            "subject",
            other(&|c| c["sub"] = json!("repo:mine/app")),
            TokenError::UnknownSubject,
        ),
        (
            "audience",
            other(&|c| c["aud"] = json!("other")),
            TokenError::Audience,
        ),
        (
            "issuer",
            other(&|c| c["iss"] = json!("https://else")),
            TokenError::UnknownIssuer,
        ),
        (
            "no subject",
            other(&|c| c["sub"] = json!(null)),
            TokenError::NotOurs,
        ),
        ("an unknown key", unknown_key, TokenError::UnknownKey),
        ("a wrong key", wrong_key, TokenError::Signature),
        ("a shared secret", secret, TokenError::NotOurs),
        (
            "huge",
            format!("{token}{}", "A".repeat(MAX_BYTES)),
            TokenError::TooLong,
        ),
        ("rubbish", "eyJ.x.y".to_owned(), TokenError::NotOurs),
    ] {
        let found = issuers.identity(&token, &known).await;
        assert_eq!(found.unwrap_err(), expected, "{what}");
    }
    assert_eq!(
        issuer.asked.load(Ordering::SeqCst),
        1,
        "nor asked for by forgeries"
    );
}

#[tokio::test]
async fn an_issuer_that_is_not_there_is_said_to_be_silent() {
    let issuers = Issuers::new();
    let issuer = issuer();
    let mut claims = issuer.claims();
    claims["iss"] = json!("http://127.0.0.1:9");
    let token = issuer.sign(&claims);
    let known = [identity("http://127.0.0.1:9", "repo:*", "hythe")];
    let found = issuers.identity(&token, &known).await;
    assert_eq!(found.unwrap_err(), TokenError::SilentIssuer);
}

#[test]
fn keys_are_read_over_tls_or_from_this_machine() {
    for (url, expected) in [
        ("https://ci.example.com/keys", true),
        ("http://127.0.0.1:1/keys", true),
        ("http://[::1]:1/keys", true),
        ("http://localhost/keys", true),
        ("http://ci.example.com/keys", false),
        ("http://127.0.0.1.example.com/keys", false),
        ("file:///etc/passwd", false),
        ("nonsense", false),
    ] {
        assert_eq!(fetch::is_safe(url), expected, "{url}");
    }
}
