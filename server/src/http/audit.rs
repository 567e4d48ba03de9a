//! Which requests are put on record: what changes content or removes it, and
//! who was not let in. Pulls too, where the operator wants that.

use axum::response::Response;
use http::request::Parts;

use super::answer::CONTENT_DIGEST;
use super::client::address_of;
use super::error::ApiError;
use super::route::Route;
use super::{Api, answer};
use crate::auth::{AuditEntry, Caller, Presented};

/// What a route does to what, if that is put on record.
pub(super) fn subject(api: &Api, route: &Route) -> Option<(&'static str, String)> {
    match route {
        Route::PutManifest(name, reference) => Some(("push", format!("{name}:{reference}"))),
        Route::DeleteManifest(name, reference) => Some(("delete", format!("{name}:{reference}"))),
        Route::DeleteBlob(name, digest) => Some(("delete blob", format!("{name}@{digest}"))),
        Route::GetManifest(name, reference) if api.config.audit_pulls => {
            Some(("pull", format!("{name}:{reference}")))
        }
        Route::Facts(route) => route.audited(),
        _ => None,
    }
}

/// Puts on record how it ended.
pub(super) fn ended(
    api: &Api,
    (action, subject): (&'static str, String),
    caller: &Caller,
    (request, outcome): (&Parts, &Result<Response, ApiError>),
) {
    let address = address_of(request).map(|address| address.to_string());
    let mut entry = AuditEntry::new(caller.label(), action, &subject, address);
    match outcome {
        Ok(response) => {
            let digest = answer::text(response.headers(), CONTENT_DIGEST);
            entry.digest = digest.map(str::to_owned);
        }
        Err(error) => entry.outcome = error.told(),
    }
    api.auth.record(entry);
}

/// Puts on record that somebody was not let in who showed something.
pub(super) fn refused(api: &Api, presented: &Presented, error: &ApiError, request: &Parts) {
    let name = match presented {
        Presented::Nothing => return,
        Presented::Basic { name, .. } | Presented::Certificate(name) => name.as_str(),
        Presented::Bearer(_) => "(token)",
    };
    // Whatever was sent: not more of it than a name has, and nothing that a
    // terminal takes for a command.
    let name: String = name.chars().filter(|c| !c.is_control()).take(64).collect();
    let address = address_of(request).map(|address| address.to_string());
    let mut entry = AuditEntry::new(&name, "log in", "", address);
    entry.outcome = error.told();
    api.auth.record(entry);
}
