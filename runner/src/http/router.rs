//! Every route on one screen.

use axum::Router;

use super::error::ApiError;
use crate::engine::Engine;

pub(super) fn router(engine: Engine) -> Router {
    Router::new()
        .fallback(async || ApiError::page_not_found())
        .with_state(engine)
}
