//! Lines of a pull, a push, an import, a load or a build.

use serde::Serialize;

#[derive(Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ProgressLine {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) stream: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) status: Option<String>,
    /// There, if only as `{}`, on every line that replaces an earlier one of its id.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) progress_detail: Option<ProgressDetail>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) error_detail: Option<ErrorDetail>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) error: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) aux: Option<Aux>,
}

#[derive(Debug, Default, PartialEq, Eq, Serialize)]
pub(crate) struct ProgressDetail {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) current: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) total: Option<u64>,
}

#[derive(Debug, PartialEq, Eq, Serialize)]
pub(crate) struct ErrorDetail {
    /// The exit code of a build's command.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) code: Option<i32>,
    pub(crate) message: String,
}

/// For programs.
#[derive(Debug, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub(crate) enum Aux {
    Push(PushResult),
    Build(BuildResult),
}

#[derive(Debug, PartialEq, Eq, Serialize)]
pub(crate) struct BuildResult {
    #[serde(rename = "ID")]
    pub(crate) id: String,
}

#[derive(Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct PushResult {
    pub(crate) tag: String,
    pub(crate) digest: String,
    pub(crate) size: u64,
}
