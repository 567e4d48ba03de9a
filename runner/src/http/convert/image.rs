//! Images, their history, and the lines of a pull or push.

use std::collections::BTreeMap;

use bollard_stubs::models::{
    ImageManifestSummary, ImageManifestSummaryImageData, ImageManifestSummaryImageDataSize,
    ImageManifestSummaryKindEnum, ImageManifestSummarySize, OciDescriptor, OciPlatform,
};

use super::config::config_to_wire;
use super::none_if_empty;
use crate::engine::{EngineError, HistoryView, ImageRemoval, ImageView, Progress, TransferResult};
use crate::http::target::ApiVersion;
use crate::http::wire;

/// Clients before it read `VirtualSize`.
const WITHOUT_VIRTUAL_SIZE: ApiVersion = ApiVersion::new(1, 44);
/// Clients before it expect a name on every image.
const WITHOUT_NONE_NAMES: ApiVersion = ApiVersion::new(1, 43);

pub(crate) fn image_summary_to_wire(view: &ImageView, version: ApiVersion) -> wire::ImageSummary {
    let (mut repo_tags, mut repo_digests) = (view.tags.clone(), view.digests.clone());
    if version < WITHOUT_NONE_NAMES && repo_tags.is_empty() && repo_digests.is_empty() {
        repo_tags.push("<none>:<none>".to_owned());
        repo_digests.push("<none>@<none>".to_owned());
    }
    wire::ImageSummary {
        containers: view.n_containers.unwrap_or(-1),
        created: view.created_at.map_or(0, jiff::Timestamp::as_second),
        id: view.id.clone(),
        labels: Some(view.labels.clone()).filter(|labels| !labels.is_empty()),
        parent_id: view.parent.clone(),
        repo_digests,
        repo_tags,
        shared_size: view.shared_size_bytes.unwrap_or(-1),
        size: view.size_bytes,
        virtual_size: (version < WITHOUT_VIRTUAL_SIZE).then_some(view.size_bytes),
        manifests: manifests_to_wire(view),
    }
}

fn manifests_to_wire(view: &ImageView) -> Option<Vec<ImageManifestSummary>> {
    let manifests = view.manifests.as_ref()?.iter();
    let summaries = manifests.map(|manifest| ImageManifestSummary {
        id: manifest.digest.clone(),
        descriptor: OciDescriptor {
            media_type: Some(manifest.media_type.clone()),
            digest: Some(manifest.digest.clone()),
            size: Some(manifest.size_bytes),
            ..OciDescriptor::default()
        },
        available: true,
        size: ImageManifestSummarySize {
            content: manifest.content_bytes,
            total: manifest.content_bytes.saturating_add(view.size_bytes),
        },
        kind: Some(ImageManifestSummaryKindEnum::IMAGE),
        image_data: Some(ImageManifestSummaryImageData {
            platform: OciPlatform {
                architecture: Some(view.architecture.clone()),
                os: Some(view.os.clone()),
                variant: Some(view.variant.clone()).filter(|variant| !variant.is_empty()),
                ..OciPlatform::default()
            },
            containers: manifest.containers.clone(),
            size: ImageManifestSummaryImageDataSize {
                unpacked: view.size_bytes,
            },
        }),
        attestation_data: None,
    });
    Some(summaries.collect())
}

pub(crate) fn image_inspect_to_wire(view: &ImageView, version: ApiVersion) -> wire::ImageInspect {
    wire::ImageInspect {
        id: view.id.clone(),
        repo_tags: view.tags.clone(),
        repo_digests: view.digests.clone(),
        parent: view.parent.clone(),
        comment: view.comment.clone(),
        created: view.created_at.map(|time| time.to_string()),
        docker_version: "",
        author: view.author.clone(),
        config: config_to_wire(&view.config),
        architecture: view.architecture.clone(),
        variant: view.variant.clone(),
        os: view.os.clone(),
        size: view.size_bytes,
        virtual_size: (version < WITHOUT_VIRTUAL_SIZE).then_some(view.size_bytes),
        graph_driver: wire::GraphDriver {
            data: BTreeMap::new(),
            name: "overlay2",
        },
        root_fs: wire::RootFs {
            r#type: "layers",
            layers: view.diff_ids.clone(),
        },
        metadata: wire::ImageMetadata {
            last_tag_time: wire::time(view.last_tagged_at),
        },
        manifests: manifests_to_wire(view),
    }
}

pub(crate) fn history_to_wire(view: HistoryView) -> wire::HistoryLine {
    wire::HistoryLine {
        comment: view.comment,
        created: view.created_at.map_or(0, jiff::Timestamp::as_second),
        created_by: view.created_by,
        id: view.id,
        size: view.size_bytes,
        tags: none_if_empty(view.tags),
    }
}

pub(crate) fn removals_to_wire(removals: Vec<ImageRemoval>) -> Vec<wire::Removed> {
    let wire = removals.into_iter().map(|removal| match removal {
        ImageRemoval::Untagged(name) => wire::Removed::Untagged(name),
        ImageRemoval::Deleted(id) => wire::Removed::Deleted(id),
    });
    wire.collect()
}

/// A line of a transfer; an error has no status code any more, only a line.
pub(crate) fn progress_to_wire(line: Result<Progress, EngineError>) -> wire::ProgressLine {
    let progress = match line {
        Ok(progress) => progress,
        Err(error) => {
            let message = error.to_string();
            let code = match error {
                EngineError::CommandFailed { code, .. } => Some(code),
                _ => None,
            };
            return wire::ProgressLine {
                error: Some(message.clone()),
                error_detail: Some(wire::ErrorDetail { code, message }),
                ..wire::ProgressLine::default()
            };
        }
    };
    if progress.text.is_some() {
        return wire::ProgressLine {
            stream: progress.text,
            ..wire::ProgressLine::default()
        };
    }
    match progress.result {
        Some(TransferResult::Pushed(pushed)) => {
            return wire::ProgressLine {
                progress_detail: Some(wire::ProgressDetail::default()),
                aux: Some(wire::Aux::Push(wire::PushResult {
                    tag: pushed.tag,
                    digest: pushed.digest,
                    size: pushed.size_bytes,
                })),
                ..wire::ProgressLine::default()
            };
        }
        Some(TransferResult::Built(id)) => {
            return wire::ProgressLine {
                aux: Some(wire::Aux::Build(wire::BuildResult { id })),
                ..wire::ProgressLine::default()
            };
        }
        None => {}
    }
    // The first line has the tag as its id, but is not about a layer whose line is redrawn.
    let redrawn = progress.id.is_some() && !progress.status.starts_with("Pulling from ");
    wire::ProgressLine {
        status: Some(progress.status),
        progress_detail: redrawn.then_some(wire::ProgressDetail {
            current: progress.current,
            total: progress.total,
        }),
        id: progress.id,
        ..wire::ProgressLine::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::Pushed;

    fn line(progress: Result<Progress, EngineError>) -> String {
        serde_json::to_string(&progress_to_wire(progress)).unwrap()
    }

    #[test]
    fn lines_are_dockers() {
        let status = |id: Option<&str>, status: &str| Progress {
            id: id.map(str::to_owned),
            status: status.to_owned(),
            ..Progress::default()
        };
        let cases = [
            (
                Ok(status(Some("latest"), "Pulling from library/x")),
                r#"{"status":"Pulling from library/x","id":"latest"}"#,
            ),
            (
                Ok(status(Some("0337a89b296c"), "Pulling fs layer")),
                r#"{"status":"Pulling fs layer","progressDetail":{},"id":"0337a89b296c"}"#,
            ),
            (
                Ok(Progress {
                    current: Some(5),
                    total: Some(9),
                    ..status(Some("0337a89b296c"), "Downloading")
                }),
                r#"{"status":"Downloading","progressDetail":{"current":5,"total":9},"id":"0337a89b296c"}"#,
            ),
            (
                Ok(status(None, "Digest: sha256:ab")),
                r#"{"status":"Digest: sha256:ab"}"#,
            ),
            (
                Ok(Progress {
                    result: Some(TransferResult::Pushed(Pushed {
                        tag: "1".to_owned(),
                        digest: "sha256:ab".to_owned(),
                        size_bytes: 527,
                    })),
                    ..Progress::default()
                }),
                r#"{"progressDetail":{},"aux":{"Tag":"1","Digest":"sha256:ab","Size":527}}"#,
            ),
            (
                Err(EngineError::Internal("gone".to_owned())),
                r#"{"errorDetail":{"message":"gone"},"error":"gone"}"#,
            ),
        ];
        for (progress, expected) in cases {
            assert_eq!(line(progress), expected);
        }
    }
}
