//! Texts from outside, mutated without end: what a parser takes must hold
//! together, and nothing may panic.
//!
//! Each target starts from good and nearly good texts and mutates what it has
//! come to accept further and further. `HYTHE_FUZZ_SECONDS` says for how long
//! (one second otherwise); the seed of a run is printed, and
//! `HYTHE_FUZZ_SEED` repeats it.

use std::time::{Duration, Instant};

use http::Method;
use hythe_oci::{Digest, ImageReference, Manifest, Reference, RepositoryName, Tag};
use rand::rngs::StdRng;
use rand::{Rng as _, SeedableRng as _};

use super::range::{self, Wanted};
use super::route::{Route, RouteError};

const SHA: &str = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
const ID: &str = "f6e5c35b-82b5-419f-833c-d8884060402d";

/// Texts above this are cut: parsers are linear, and short texts are many.
const LONGEST_BYTES: usize = 2048;

/// How many accepted texts are mutated further.
const CORPUS: usize = 512;

/// Pieces that the grammars are made of.
const WORDS: [&str; 30] = [
    "/v2/",
    "/blobs/",
    "/uploads/",
    "/manifests/",
    "/tags/list",
    "/referrers/",
    "%3A",
    "%3a",
    "sha256:",
    "sha512:",
    SHA,
    ID,
    "@",
    ":",
    "/",
    "..",
    "__",
    "-",
    "bytes=",
    "bytes=-",
    ",",
    "\"",
    "{}",
    "[]",
    "null",
    "18446744073709551615",
    "1e999",
    "\\u0000",
    "é",
    "\u{202e}",
];

/// Feeds `target` until the time is over; it answers whether it accepted.
fn fuzz(name: &str, seeds: &[&str], mut target: impl FnMut(&str) -> bool) {
    let number = |name: &str| std::env::var(name).ok()?.parse::<u64>().ok();
    let seconds = number("HYTHE_FUZZ_SECONDS").unwrap_or(1);
    let seed = number("HYTHE_FUZZ_SEED").unwrap_or_else(rand::random);
    println!("{name}: HYTHE_FUZZ_SEED={seed} HYTHE_FUZZ_SECONDS={seconds}");
    let mut random = StdRng::seed_from_u64(seed);
    let mut corpus: Vec<Vec<u8>> = seeds.iter().map(|seed| seed.as_bytes().to_vec()).collect();
    let (mut texts, mut accepted) = (0_u64, 0_u64);
    for seed in seeds {
        target(seed);
    }
    let end = Instant::now() + Duration::from_secs(seconds);
    while Instant::now() < end {
        for _ in 0..100 {
            let text = mutated(&corpus, &mut random);
            let text = String::from_utf8_lossy(&text);
            texts += 1;
            if !target(&text) {
                continue;
            }
            accepted += 1;
            let kept = text.as_bytes().to_vec();
            if corpus.len() < CORPUS {
                corpus.push(kept);
            } else if random.random_ratio(1, 16) {
                // The seeds stay.
                let place = random.random_range(seeds.len()..CORPUS);
                corpus[place] = kept;
            }
        }
    }
    println!("{name}: {texts} texts, {accepted} accepted");
    assert!(
        accepted > 0,
        "{name}: nothing was accepted of {texts} texts"
    );
}

fn mutated(corpus: &[Vec<u8>], random: &mut StdRng) -> Vec<u8> {
    let mut text = corpus[random.random_range(0..corpus.len())].clone();
    for _ in 0..random.random_range(1..4) {
        let at = random.random_range(0..=text.len());
        let to = random.random_range(at..=text.len().min(at + 64));
        match random.random_range(0..7) {
            0 => drop(text.splice(at..at, [random.random::<u8>()])),
            1 => drop(text.drain(at..to)),
            2 => {
                let piece = text[at..to].to_vec();
                drop(text.splice(at..at, piece));
            }
            3 => {
                let word = WORDS[random.random_range(0..WORDS.len())];
                drop(text.splice(at..at, word.bytes()));
            }
            4 => {
                let word = WORDS[random.random_range(0..WORDS.len())];
                drop(text.splice(at..to, word.bytes()));
            }
            5 => {
                let other = &corpus[random.random_range(0..corpus.len())];
                let from = random.random_range(0..=other.len());
                text.truncate(at);
                text.extend_from_slice(&other[from..]);
            }
            _ => {
                if let Some(byte) = text.get_mut(at) {
                    *byte ^= 1 << random.random_range(0..8);
                }
            }
        }
    }
    text.truncate(LONGEST_BYTES);
    text
}

/// The path that a route is asked for by.
fn path_of(route: &Route) -> String {
    match route {
        Route::Ping => "/v2/".to_owned(),
        Route::GetBlob(name, digest)
        | Route::HeadBlob(name, digest)
        | Route::DeleteBlob(name, digest) => format!("/v2/{name}/blobs/{digest}"),
        Route::GetManifest(name, reference)
        | Route::HeadManifest(name, reference)
        | Route::PutManifest(name, reference)
        | Route::DeleteManifest(name, reference) => format!("/v2/{name}/manifests/{reference}"),
        Route::StartUpload(name) => format!("/v2/{name}/blobs/uploads/"),
        Route::UploadStatus(name, id)
        | Route::AppendChunk(name, id)
        | Route::CompleteUpload(name, id)
        | Route::CancelUpload(name, id) => format!("/v2/{name}/blobs/uploads/{id}"),
        Route::ListTags(name) => format!("/v2/{name}/tags/list"),
        Route::ListReferrers(name, digest) => format!("/v2/{name}/referrers/{digest}"),
        Route::ListRepositories => "/v2/_catalog".to_owned(),
        Route::SearchPing => "/v1/_ping".to_owned(),
        Route::Search => "/v1/search".to_owned(),
        Route::Facts(route) => route.path(),
        Route::GetToken | Route::PostToken => "/token".to_owned(),
        Route::Jwks => "/.well-known/jwks.json".to_owned(),
        Route::Api(endpoint) => endpoint.path(),
        Route::Health => "/healthz".to_owned(),
        Route::Ready => "/readyz".to_owned(),
        Route::Metrics => "/metrics".to_owned(),
    }
}

#[test]
fn a_route_that_is_parsed_is_the_route_of_its_path() {
    let methods = ["GET", "HEAD", "PUT", "POST", "PATCH", "DELETE", "TRACE"];
    let methods = methods.map(|method| method.parse::<Method>().unwrap());
    let (blob, upload) = (
        format!("/v2/a/b-c/blobs/{SHA}"),
        format!("/v2/a/blobs/uploads/{ID}"),
    );
    let (manifest, referrers) = (
        format!("/v2/a/manifests/{SHA}"),
        format!("/v2/a/blobs/x__y/referrers/{SHA}"),
    );
    let seeds = [
        "/v2/",
        "/v2/_catalog",
        "/v2/a/tags/list",
        "/api/v1/repositories/a%2Fb/tags/1",
        "/api/v1/repositories/a/star",
        "/v2/a/b/manifests/v1.0_x",
        "/readyz",
        "/token",
        "/api/v1/whoami",
        "/v2/blobs/uploads/blobs/uploads/",
        &blob,
        &upload,
        &manifest,
        &referrers,
    ];
    fuzz("route", &seeds, |path| {
        let mut accepted = false;
        for method in &methods {
            match Route::parse(method, path) {
                Ok(route) => {
                    assert_eq!(
                        Route::parse(method, &path_of(&route)).as_ref(),
                        Ok(&route),
                        "{method} {path:?}"
                    );
                    assert!(!path_of(&route).split('/').any(|part| part == ".."));
                    accepted = true;
                }
                Err(RouteError::MethodNotAllowed { allowed }) => {
                    assert!(!allowed.split(", ").any(|m| m == method.as_str()));
                }
                Err(_) => {}
            }
        }
        accepted
    });
}

#[test]
fn a_range_lies_within_what_there_is() {
    let seeds = [
        "bytes=0-0",
        "bytes=5-",
        "bytes=-5",
        "0-0",
        "5-17",
        "bytes=0-18446744073709551615",
        "18446744073709551614-18446744073709551615",
    ];
    fuzz("range", &seeds, |header| {
        let mut accepted = false;
        for size_bytes in [0, 1, 17, u64::MAX] {
            match range::wanted(Some(header), size_bytes) {
                Wanted::Part(part) => {
                    assert!(
                        part.start < part.end && part.end <= size_bytes,
                        "{header:?} of {size_bytes}: {part:?}"
                    );
                    let told = range::content_range(&part, size_bytes);
                    let (bytes, size) = told
                        .strip_prefix("bytes ")
                        .and_then(|rest| rest.split_once('/'))
                        .unwrap();
                    assert_eq!(range::chunk(bytes), Some(part), "{header:?}");
                    assert_eq!(size, size_bytes.to_string());
                    accepted = true;
                }
                Wanted::Unsatisfiable => assert!(header.trim().starts_with("bytes=")),
                Wanted::Whole => {}
            }
        }
        if let Some(chunk) = range::chunk(header) {
            assert!(chunk.start < chunk.end, "{header:?}: {chunk:?}");
            accepted = true;
        }
        accepted
    });
}

#[test]
fn a_manifest_leads_to_digests_that_it_names() {
    let descriptor = format!(
        r#"{{"mediaType":"application/vnd.oci.image.layer.v1.tar","digest":"{SHA}","size":0}}"#
    );
    let image = format!(
        r#"{{"schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest.v1+json","config":{descriptor},"layers":[{descriptor}],"subject":{descriptor},"annotations":{{"a":"b"}}}}"#
    );
    let index = format!(
        r#"{{"schemaVersion":2,"mediaType":"application/vnd.oci.image.index.v1+json","manifests":[{descriptor}],"artifactType":"x/y"}}"#
    );
    let old = r#"{"schemaVersion":1,"name":"a","tag":"b","fsLayers":[],"history":[]}"#;
    let types = [
        None,
        Some("application/vnd.oci.image.manifest.v1+json"),
        Some("application/vnd.docker.distribution.manifest.list.v2+json"),
    ];
    fuzz("manifest", &[&image, &index, old, "{}"], |content| {
        let mut accepted = false;
        for content_type in types {
            let Ok((manifest, media_type)) = Manifest::parse(content.as_bytes(), content_type)
            else {
                continue;
            };
            accepted = true;
            assert!(!media_type.is_empty());
            let named = manifest.blobs().chain(manifest.children());
            for descriptor in named.chain(manifest.subject()) {
                let text = descriptor.digest.to_string();
                assert_eq!(text.parse::<Digest>().as_ref(), Ok(&descriptor.digest));
                // Escapes may hide a digest in the text, never change it.
                assert!(
                    content.contains(descriptor.digest.hex()) || content.contains('\\'),
                    "{content}"
                );
            }
        }
        accepted
    });
}

#[test]
fn a_reference_is_what_it_says() {
    let by_digest = format!("localhost:5000/a/b:tag@{SHA}");
    let seeds = [
        "nginx",
        "docker.io/library/nginx:latest",
        "[::1]:5000/a",
        "a.b/c__d/e-f:V_1.2-3",
        "v1",
        &by_digest,
        SHA,
    ];
    fuzz("reference", &seeds, |text| {
        let mut accepted = false;
        if let Ok(name) = text.parse::<RepositoryName>() {
            assert_eq!(name.as_str(), text);
            assert!(!text.contains("..") && !text.contains("//") && text.is_ascii());
            assert!(!text.starts_with('/') && !text.ends_with('/'));
        }
        if let Ok(tag) = text.parse::<Tag>() {
            assert_eq!(tag.as_str(), text);
            assert!(!text.contains(['/', ':', '@']) && !text.starts_with('.'));
        }
        if let Ok(reference) = text.parse::<Reference>() {
            assert_eq!(reference.to_string(), text);
            accepted = true;
        }
        if let Ok(reference) = ImageReference::parse(text, "docker.io") {
            let whole = reference.to_string();
            let again = ImageReference::parse(&whole, "elsewhere.example");
            assert_eq!(again.as_ref(), Ok(&reference), "{text:?} as {whole:?}");
            let short = reference.familiar();
            let again = ImageReference::parse(&short, "docker.io");
            assert_eq!(again.as_ref(), Ok(&reference), "{text:?} as {short:?}");
            accepted = true;
        }
        accepted
    });
}
