//! Commands in running containers.

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse as _, Response};
use http::StatusCode;

use super::Result;
use super::convert::{console_size, exec_to_wire};
use super::error::ApiError;
use super::request::{JsonBody, Name, Query};
use super::stream::Upgrade;
use super::wire;
use crate::engine::{Engine, ExecConfig, StartExec};
use crate::spec::ContainerRef;

pub(super) async fn create(
    State(engine): State<Engine>,
    Name(container): Name,
    JsonBody(body): JsonBody<wire::CreateExecBody>,
) -> Result<Response> {
    if body.cmd.is_empty() {
        return Err(ApiError::bad_parameter("No exec command specified"));
    }
    let config = ExecConfig {
        attach_stdin: body.attach_stdin,
        attach_stdout: body.attach_stdout,
        attach_stderr: body.attach_stderr,
        tty: body.tty,
        cmd: body.cmd,
        env: body.env,
        user: body.user,
        working_dir: body.working_dir,
        privileged: body.privileged,
        detach_keys: Some(body.detach_keys).filter(|keys| !keys.is_empty()),
        console_size: console_size(body.console_size.as_deref()),
    };
    let id = engine
        .create_exec(&ContainerRef::new(container), config)
        .await?;
    let answer = wire::Id { id: id.to_string() };
    Ok((StatusCode::CREATED, Json(answer)).into_response())
}

pub(super) async fn start(
    State(engine): State<Engine>,
    Name(id): Name,
    upgrade: Upgrade,
    JsonBody(body): JsonBody<wire::StartExecBody>,
) -> Result<Response> {
    let request = StartExec {
        detach: body.detach,
        framed: !body.tty,
        console_size: console_size(body.console_size.as_deref()),
    };
    match engine.start_exec(&id, request).await? {
        Some(attached) => Ok(upgrade.answer(attached)),
        None => Ok(StatusCode::OK.into_response()),
    }
}

pub(super) async fn resize(
    State(engine): State<Engine>,
    Name(id): Name,
    query: Query,
) -> Result<StatusCode> {
    let (rows, columns) = query.terminal_size()?;
    engine.resize_exec(&id, rows, columns).await?;
    Ok(StatusCode::OK)
}

pub(super) async fn inspect(
    State(engine): State<Engine>,
    Name(id): Name,
) -> Result<Json<wire::ExecInspect>> {
    Ok(Json(exec_to_wire(engine.inspect_exec(&id).await?)))
}
