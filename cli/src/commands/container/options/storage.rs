//! What the container sees of disks: volumes, mounts, temporary file systems.

use std::collections::HashMap;

use anyhow::Context as _;
use bollard_stubs::models::{ContainerCreateBody, HostConfig};
use clap::Args;

use super::given;
use crate::values::{self, VolumeSpec};

#[derive(Debug, Args)]
#[command(next_help_heading = "Storage")]
pub(crate) struct StorageOptions {
    /// Mount a host path or a volume: `[SOURCE:]TARGET[:OPTIONS]`
    #[arg(long, short, value_name = "VOLUME")]
    volume: Vec<String>,
    /// Mount: type=bind|volume|tmpfs,source=…,target=…[,readonly…]
    #[arg(long, value_name = "MOUNT")]
    mount: Vec<String>,
    /// Mount a temporary file system
    #[arg(long, value_name = "PATH[:OPTIONS]")]
    tmpfs: Vec<String>,
    /// Mount the volumes of another container
    #[arg(long, value_name = "CONTAINER[:ro]")]
    volumes_from: Vec<String>,
    /// Driver of the container's volumes
    #[arg(long, value_name = "NAME")]
    volume_driver: Option<String>,
    /// Mount the root file system read-only
    #[arg(long)]
    read_only: bool,
    /// Option of the storage driver
    #[arg(long, value_name = "KEY=VALUE")]
    storage_opt: Vec<String>,
}

impl StorageOptions {
    pub(super) fn apply(
        &self,
        body: &mut ContainerCreateBody,
        host: &mut HostConfig,
    ) -> anyhow::Result<()> {
        let here = std::env::current_dir().context("the current directory is gone")?;
        let (mut anonymous, mut binds) = (Vec::new(), Vec::new());
        for text in &self.volume {
            match values::parse_volume(text, &here)? {
                VolumeSpec::Anonymous(target) => anonymous.push(target),
                VolumeSpec::Bind(bind) => binds.push(bind),
            }
        }
        let mounts = self
            .mount
            .iter()
            .map(|text| {
                values::parse_mount(text, &here)
                    .with_context(|| format!("invalid argument \"{text}\" for \"--mount\" flag"))
            })
            .collect::<anyhow::Result<Vec<_>>>()?;
        let tmpfs: HashMap<String, String> = self
            .tmpfs
            .iter()
            .map(|text| {
                let (path, options) = text.split_once(':').unwrap_or((text, ""));
                (path.to_owned(), options.to_owned())
            })
            .collect();
        let options = values::pairs("storage-opt", &self.storage_opt)?;
        body.volumes = given(&anonymous);
        host.binds = given(&binds);
        host.mounts = given(&mounts);
        host.tmpfs = (!tmpfs.is_empty()).then_some(tmpfs);
        host.volumes_from = given(&self.volumes_from);
        host.volume_driver.clone_from(&self.volume_driver);
        host.readonly_rootfs = self.read_only.then_some(true);
        host.storage_opt = (!options.is_empty()).then_some(options);
        Ok(())
    }
}
