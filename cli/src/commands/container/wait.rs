//! `hythe wait`, and waiting for the end of a container that is about to be started.

use http_body_util::BodyExt as _;
use hyper::Response;
use hyper::body::Incoming;
use serde::Deserialize;

use super::lifecycle::NamesArguments;
use crate::api::{Api, ApiError, Call};
use crate::failure::{Failure, Outcome, say};
use crate::output;

/// What is waited for.
#[derive(Debug, Clone, Copy)]
pub(super) enum Condition {
    NotRunning,
    NextExit,
    Removed,
}

impl Condition {
    fn as_str(self) -> &'static str {
        match self {
            Self::NotRunning => "not-running",
            Self::NextExit => "next-exit",
            Self::Removed => "removed",
        }
    }
}

/// A wait that the agent has taken note of: the container's end will not be missed.
#[derive(Debug)]
pub(super) struct Waiting(Response<Incoming>);

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Waited {
    status_code: i64,
    error: Option<WaitedError>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct WaitedError {
    #[serde(default)]
    message: String,
}

impl Waiting {
    /// Returns when the agent's headers are here, which is when the wait counts.
    pub(super) async fn register(
        api: &Api,
        container: &str,
        condition: Condition,
    ) -> Result<Self, ApiError> {
        let call =
            Call::post(super::path(container, "/wait")).query("condition", condition.as_str());
        Ok(Self(api.send(call).await?))
    }

    /// The code as the agent has it.
    async fn status(self) -> anyhow::Result<i64> {
        let body = self
            .0
            .into_body()
            .collect()
            .await
            .map_err(ApiError::Connection)?
            .to_bytes();
        let waited: Waited =
            serde_json::from_slice(&body).map_err(|source| ApiError::Unreadable {
                what: "wait".to_owned(),
                source,
            })?;
        match waited.error {
            Some(error) if !error.message.is_empty() => {
                anyhow::bail!("Error waiting for container: {}", error.message)
            }
            _ => Ok(waited.status_code),
        }
    }

    /// The code as this process's own: what a shell sees of it.
    pub(super) async fn exit_code(self) -> anyhow::Result<u8> {
        Ok(process_code(self.status().await?))
    }
}

/// The low eight bits, which is all that an exit code has.
pub(super) fn process_code(code: i64) -> u8 {
    code.to_le_bytes()[0]
}

pub(super) async fn run(api: &Api, arguments: &NamesArguments) -> Outcome {
    let mut failed = false;
    for name in &arguments.containers {
        let status = match Waiting::register(api, name, Condition::NotRunning).await {
            Ok(waiting) => waiting.status().await,
            Err(error) => Err(error.into()),
        };
        match status {
            Ok(status) => output::line(&status.to_string())?,
            Err(error) => {
                failed = true;
                say(&error);
            }
        }
    }
    if failed {
        Err(Failure::silent(1))
    } else {
        Ok(0)
    }
}
