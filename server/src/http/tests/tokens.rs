//! Forged, stale and foreign tokens, as whoever holds one shows it: every one
//! is refused at the door, with a word on why.

use base64::Engine as _;
use base64::prelude::{BASE64_STANDARD, BASE64_URL_SAFE_NO_PAD};
use http::StatusCode;
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use serde_json::{Value, json};

use super::TestApp;
use super::callers::closed;

/// A good token, and the key that signed it.
struct Mint {
    good: String,
    header: Value,
    claims: Value,
    key: EncodingKey,
}

impl Mint {
    async fn of(app: &TestApp) -> Self {
        let issued = app.token("puller", "repository:a:pull").await;
        let good = issued["token"].as_str().unwrap().to_owned();
        let parts: Vec<&str> = good.split('.').collect();
        let read = |text: &str| {
            let bytes = BASE64_URL_SAFE_NO_PAD.decode(text).unwrap();
            serde_json::from_slice::<Value>(&bytes).unwrap()
        };
        let (header, claims) = (read(parts[0]), read(parts[1]));
        let stored = app.registry.database().await.directory().await.unwrap();
        let stored = stored.keys.into_iter().find(|key| header["kid"] == key.id);
        let pkcs8 = BASE64_STANDARD.decode(stored.unwrap().private_key).unwrap();
        let key = EncodingKey::from_ed_der(&pkcs8);
        Self {
            good,
            header,
            claims,
            key,
        }
    }

    /// Signed as ours are, but says something else.
    fn saying(&self, change: impl Fn(&mut Value)) -> String {
        let mut claims = self.claims.clone();
        change(&mut claims);
        self.signed(&claims, &self.key)
    }

    fn signed(&self, claims: &Value, key: &EncodingKey) -> String {
        let mut header = Header::new(Algorithm::EdDSA);
        header.kid = self.header["kid"].as_str().map(str::to_owned);
        jsonwebtoken::encode(&header, claims, key).unwrap()
    }

    /// The good token with one part written anew, under the signature of the
    /// old one.
    fn with(&self, part: usize, change: impl Fn(&mut Value)) -> String {
        let mut value = [&self.header, &self.claims][part].clone();
        change(&mut value);
        let mut parts: Vec<String> = self.good.split('.').map(str::to_owned).collect();
        parts[part] = BASE64_URL_SAFE_NO_PAD.encode(value.to_string());
        parts.join(".")
    }

    fn with_algorithm(&self, name: &str) -> String {
        self.with(0, |header| header["alg"] = json!(name))
    }
}

fn unsigned(token: &str) -> String {
    token[..=token.rfind('.').unwrap()].to_owned()
}

/// A key of somebody else, and its public half as JWKS writes it.
fn others_key() -> (EncodingKey, String) {
    use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair as _};
    let pair = Ed25519KeyPair::generate().unwrap();
    let x = BASE64_URL_SAFE_NO_PAD.encode(pair.public_key().as_ref());
    let pkcs8 = pair.to_pkcs8v1().unwrap();
    (EncodingKey::from_ed_der(pkcs8.as_ref()), x)
}

/// What each token is, the token, and what is said to who shows it.
type Row = (&'static str, String, &'static str);

const NOT_OURS: &str = "not one that this registry made";
const SIGNATURE: &str = "signature is wrong";

fn of_another_header(mint: &Mint, public: &str) -> Vec<Row> {
    let (theirs, x) = others_key();
    let by_secret = {
        let mut header = Header::new(Algorithm::HS256);
        header.kid = mint.header["kid"].as_str().map(str::to_owned);
        let key = EncodingKey::from_secret(public.as_bytes());
        jsonwebtoken::encode(&header, &mint.claims, &key).unwrap()
    };
    let with_key = {
        let mut header = mint.header.clone();
        header["jwk"] = json!({ "kty": "OKP", "crv": "Ed25519", "x": x });
        let signed = mint.signed(&mint.claims, &theirs);
        let head = BASE64_URL_SAFE_NO_PAD.encode(header.to_string());
        format!("{head}{}", &signed[signed.find('.').unwrap()..])
    };
    let renamed = |id: Value| mint.with(0, move |header| header["kid"] = id.clone());
    vec![
        ("alg none", unsigned(&mint.with_algorithm("none")), NOT_OURS),
        ("alg None", unsigned(&mint.with_algorithm("None")), NOT_OURS),
        ("none, signed", mint.with_algorithm("none"), NOT_OURS),
        ("no alg", mint.with_algorithm(""), NOT_OURS),
        ("another alg", mint.with_algorithm("RS256"), NOT_OURS),
        ("the public key as a secret", by_secret, NOT_OURS),
        ("no signature", unsigned(&mint.good), SIGNATURE),
        ("a wrong key", mint.signed(&mint.claims, &theirs), SIGNATURE),
        ("a key of its own", with_key, SIGNATURE),
        ("an unknown key", renamed(json!("x")), "does not have"),
        ("no key", renamed(json!(null)), NOT_OURS),
    ]
}

fn of_other_claims(mint: &Mint) -> Vec<Row> {
    let now = jsonwebtoken::get_current_timestamp();
    let set =
        |name: &'static str, value: Value| mint.saying(move |claims| claims[name] = value.clone());
    let tampered =
        |name: &'static str, value: Value| mint.with(1, move |claims| claims[name] = value.clone());
    let wider = json!([{ "type": "repository", "name": "a", "actions": ["pull", "push"] }]);
    let long = "x".repeat(20 << 10);
    vec![
        ("a tampered scope", tampered("access", wider), SIGNATURE),
        (
            "a tampered name",
            tampered("sub", json!("admin")),
            SIGNATURE,
        ),
        ("no account", tampered("hythe", json!(null)), SIGNATURE),
        ("a later end", tampered("exp", json!(now + 9000)), SIGNATURE),
        ("audience", set("aud", json!("else")), "another service"),
        (
            "to buy tokens",
            set("aud", json!("hythe/refresh")),
            "another service",
        ),
        ("no audience", set("aud", json!(null)), NOT_OURS),
        ("expired", set("exp", json!(now - 60)), "has expired"),
        ("never ends", set("exp", json!(null)), NOT_OURS),
        (
            "not yet valid",
            set("nbf", json!(now + 90)),
            "not valid yet",
        ),
        (
            "issuer",
            set("iss", json!("https://else")),
            "tokens of that issuer",
        ),
        ("huge", set("jti", json!(long)), "longer than any"),
    ]
}

fn of_no_form(mint: &Mint) -> Vec<Row> {
    vec![
        ("huge rubbish", "x".repeat(200 << 10), "longer than any"),
        (
            "huge end",
            format!("{}{}", mint.good, "A".repeat(20 << 10)),
            "longer than any",
        ),
        ("three dots", "...".to_owned(), NOT_OURS),
        ("rubbish", "eyJ.eyJ.x".to_owned(), NOT_OURS),
        ("an encrypted one", format!("{}.a.b", mint.good), NOT_OURS),
    ]
}

#[tokio::test]
async fn forged_tokens_are_refused() {
    let app = closed().await;
    let mint = Mint::of(&app).await;
    let keys = app.get("/.well-known/jwks.json").await.json();
    let public = keys["keys"][0]["x"].as_str().unwrap().to_owned();
    let show = async |token: &str, uri: &str| {
        let line = format!("authorization: Bearer {token}");
        app.ask("GET", uri, &[&line], "").await
    };
    show(&mint.good, "/v2/").await.is(StatusCode::OK);
    let again = mint.saying(|_| {});
    show(&again, "/v2/a/tags/list")
        .await
        .is(StatusCode::NOT_FOUND);

    let rows = of_another_header(&mint, &public).into_iter();
    let rows = rows.chain(of_other_claims(&mint)).chain(of_no_form(&mint));
    for (what, token, why) in rows {
        for uri in ["/v2/", "/v2/a/tags/list", "/v2/_catalog", "/api/v1/whoami"] {
            let answer = show(&token, uri).await;
            assert_eq!(answer.status, StatusCode::UNAUTHORIZED, "{what}: {uri}");
            let challenge = answer.header("www-authenticate");
            assert!(
                challenge.ends_with("error=\"invalid_token\""),
                "{challenge}"
            );
            let said = answer.json()["errors"][0].to_string();
            assert!(said.contains(why), "{what}: {said}");
            assert!(!said.contains(&token[..token.len().min(20)]), "{said}");
        }
    }
}

/// What is shown as a password is no better for it.
#[tokio::test]
async fn a_token_of_ours_is_no_password() {
    let app = closed().await;
    let mint = Mint::of(&app).await;
    for token in [&mint.good, &unsigned(&mint.with_algorithm("none"))] {
        let line = super::callers::basic("puller", token);
        let answer = app.ask("GET", "/v2/", &[&line], "").await;
        answer.is_error(StatusCode::UNAUTHORIZED, "UNAUTHORIZED");
    }
}
