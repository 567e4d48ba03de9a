//! What a registry says of an image that is not pulled.

use hythe_oci::client::{RemoteRepository, Sink};
use hythe_oci::{Descriptor, DigestHasher, Manifest, Platform};

use super::{RegistryAuth, image_error, registry_error};
use crate::engine::{Engine, EngineError};

/// As for a pull: nobody's configuration is larger.
const MAX_CONFIG_BYTES: u64 = 8 << 20;

/// `GET /distribution/{name}/json`.
#[derive(Debug, Clone)]
pub struct RemoteImage {
    /// What the name means to the registry: a manifest or an index.
    pub descriptor: Descriptor,
    /// What it can run on.
    pub platforms: Vec<Platform>,
}

impl Engine {
    pub async fn inspect_distribution(
        &self,
        image: &str,
        credentials: RegistryAuth,
    ) -> Result<RemoteImage, EngineError> {
        let reference = self.shared.images.parse_reference(image);
        let reference = reference.map_err(image_error)?;
        let client = &self.shared.registry_client;
        let credentials = self.credentials_at(&reference.host, credentials).await?;
        let repository = client.repository(&reference, credentials);
        let fetched = repository
            .get_manifest(&reference.reference())
            .await
            .map_err(|error| registry_error(&error))?;
        let platforms = match &fetched.manifest {
            Manifest::Index(index) => {
                let children = index.manifests.iter();
                children
                    .filter_map(|child| child.platform.clone())
                    .collect()
            }
            Manifest::Image(manifest) => platform_of(&repository, &manifest.config).await?,
        };
        let n_bytes = fetched.bytes.len() as u64;
        Ok(RemoteImage {
            descriptor: Descriptor::new(&fetched.media_type, fetched.digest, n_bytes),
            platforms,
        })
    }
}

/// The configuration of an image says what it is for; what is no image says nothing.
async fn platform_of(
    repository: &RemoteRepository,
    config: &Descriptor,
) -> Result<Vec<Platform>, EngineError> {
    if config.size > MAX_CONFIG_BYTES {
        return Err(EngineError::InvalidParameter(
            "the configuration of the image is larger than 8 MiB".to_owned(),
        ));
    }
    let mut bytes = Vec::new();
    let hasher = DigestHasher::new(config.digest.algorithm());
    let sink = Sink {
        writer: &mut bytes,
        progress: &mut |_| {},
    };
    let downloaded = repository.download_blob(config, hasher, 0, sink).await;
    downloaded.map_err(|error| registry_error(&error))?;
    let platform = serde_json::from_slice::<Platform>(&bytes);
    let known = platform
        .into_iter()
        .filter(|platform| !platform.os.is_empty());
    Ok(known.collect())
}
