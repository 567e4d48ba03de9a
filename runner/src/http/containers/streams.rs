//! Connections to what runs: attach, logs, wait, and the size of the terminal.

use axum::extract::State;
use axum::response::{IntoResponse as _, Response};
use http::StatusCode;
use http::header::CONTENT_TYPE;

use super::Container;
use crate::engine::{AttachOptions, Engine, EngineError, LogOptions, WaitCondition, Waited};
use crate::http::Result;
use crate::http::error::ApiError;
use crate::http::request::{Query, Version};
use crate::http::stream::{
    Handshake, Upgrade, framed_body, json_once, raw_body, stream_media_type,
};
use crate::http::wire;

/// The headers go out at once: `docker run` waits for them before it starts the container.
pub(crate) async fn wait(
    State(engine): State<Engine>,
    Container(container): Container,
    query: Query,
) -> Result<Response> {
    let condition = match query.text("condition") {
        "" | "not-running" => WaitCondition::NotRunning,
        "next-exit" => WaitCondition::NextExit,
        "removed" => WaitCondition::Removed,
        other => {
            return Err(ApiError::bad_parameter(format!(
                "invalid condition: {other:?}"
            )));
        }
    };
    let exit = engine.wait_container(&container, condition).await?;
    Ok(json_once(async { wait_answer(exit.await) }))
}

fn wait_answer(waited: Result<Waited, EngineError>) -> wire::WaitAnswer {
    let (status_code, error) = match waited {
        Ok(waited) => (waited.code, None),
        Err(error) => (-1, Some(error.to_string())),
    };
    wire::WaitAnswer {
        status_code,
        error: error.map(|message| wire::WaitError { message }),
    }
}

pub(crate) async fn attach(
    State(engine): State<Engine>,
    Container(container): Container,
    query: Query,
    upgrade: Upgrade,
) -> Result<Response> {
    let attached = engine
        .attach_container(&container, attach_options(&query))
        .await?;
    Ok(upgrade.answer(attached))
}

pub(crate) async fn attach_websocket(
    State(engine): State<Engine>,
    Container(container): Container,
    query: Query,
    handshake: Handshake,
) -> Result<Response> {
    let attached = engine
        .attach_container(&container, attach_options(&query))
        .await?;
    Ok(handshake.answer(attached))
}

fn attach_options(query: &Query) -> AttachOptions {
    AttachOptions {
        stdin: query.flag("stdin"),
        stdout: query.flag("stdout"),
        stderr: query.flag("stderr"),
        logs: query.flag("logs"),
        stream: query.flag("stream"),
        detach_keys: query.given("detachKeys").map(str::to_owned),
    }
}

pub(crate) async fn logs(
    State(engine): State<Engine>,
    Version(version): Version,
    Container(container): Container,
    query: Query,
) -> Result<Response> {
    let options = log_options(&query)?;
    let logs = engine.container_logs(&container, options).await?;
    let media_type = [(CONTENT_TYPE, stream_media_type(logs.tty, version))];
    let body = if logs.tty {
        raw_body(logs.output)
    } else {
        framed_body(logs.output)
    };
    Ok((media_type, body).into_response())
}

fn log_options(query: &Query) -> Result<LogOptions> {
    let options = LogOptions {
        stdout: query.flag("stdout"),
        stderr: query.flag("stderr"),
        since: query.time("since")?,
        until: query.time("until")?,
        // Whatever is no number means all, as in Docker.
        tail: query.text("tail").parse().ok(),
        timestamps: query.flag("timestamps"),
        details: query.flag("details"),
        follow: query.flag("follow"),
    };
    if !options.stdout && !options.stderr {
        return Err(ApiError::bad_parameter(
            "Bad parameters: you must choose at least one stream",
        ));
    }
    Ok(options)
}

pub(crate) async fn resize(
    State(engine): State<Engine>,
    Container(container): Container,
    query: Query,
) -> Result<StatusCode> {
    let (rows, columns) = query.terminal_size()?;
    engine.resize_container(&container, rows, columns).await?;
    Ok(StatusCode::OK)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn logs_need_a_stream() {
        let options = |raw| log_options(&Query::parse(raw));
        assert!(options("").is_err());
        assert!(options("stdout=0&stderr=").is_err());
        assert_eq!(options("stdout=1&tail=all").unwrap().tail, None);
        assert_eq!(options("stdout=1&tail=-1").unwrap().tail, None);
        assert_eq!(options("stderr=1&tail=10").unwrap().tail, Some(10));
        assert!(options("stdout=1&since=yesterday").is_err());
    }

    #[test]
    fn a_wait_that_failed_says_why() {
        let text = |waited| serde_json::to_string(&wait_answer(waited)).unwrap();
        let exited = Waited { code: 7 };
        assert_eq!(text(Ok(exited)), r#"{"StatusCode":7}"#);
        let failed = EngineError::Internal("gone".to_owned());
        assert_eq!(
            text(Err(failed)),
            r#"{"StatusCode":-1,"Error":{"Message":"gone"}}"#
        );
    }
}
