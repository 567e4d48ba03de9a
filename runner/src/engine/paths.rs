//! Where the engine keeps things: the whole layout, drawn once.
//!
//! ```text
//! DATA/
//! ├── engine-id                      one line: who this engine is
//! ├── records/
//! │   ├── containers/<id>.json       what is known about each container
//! │   ├── networks/<id>.json
//! │   └── volumes/<name>.json
//! ├── containers/<id>/
//! │   ├── hostname, hosts, resolv.conf    mounted over the container's own
//! │   └── <id>-json.log              its log, older parts beside it
//! ├── volumes/<name>/_data           content of a volume
//! ├── builds/<n>/                    context of a build that is under way
//! └── images/                        the image floor's, with the snapshots
//! EXEC-ROOT/
//! ├── boot-id                        which boot the rest belongs to
//! ├── boot-records/
//! │   ├── containers/<id>.json       what is known about containers that remove themselves
//! │   └── snapshots/<id>.json        what they stand on: the image floor's
//! ├── execs/<id>.json                what is known about each exec
//! └── shims/<id>/                    bundle of a started container: the launch floor's
//! ```

use std::path::{Path, PathBuf};

use crate::spec::ContainerId;

/// The two roots and what lies under them.
#[derive(Debug, Clone)]
pub(crate) struct Paths {
    data: PathBuf,
    exec_root: PathBuf,
}

impl Paths {
    pub(crate) fn new(data: PathBuf, exec_root: PathBuf) -> Self {
        Self { data, exec_root }
    }

    pub(crate) fn data(&self) -> &Path {
        &self.data
    }

    pub(crate) fn exec_root(&self) -> &Path {
        &self.exec_root
    }

    pub(crate) fn engine_id(&self) -> PathBuf {
        self.data.join("engine-id")
    }

    pub(crate) fn images(&self) -> PathBuf {
        self.data.join("images")
    }

    /// `kind` is `containers`, `networks` or `volumes`.
    pub(crate) fn records(&self, kind: &str) -> PathBuf {
        self.data.join("records").join(kind)
    }

    pub(crate) fn builds(&self) -> PathBuf {
        self.data.join("builds")
    }

    pub(crate) fn containers(&self) -> PathBuf {
        self.data.join("containers")
    }

    pub(crate) fn container(&self, id: &ContainerId) -> PathBuf {
        self.containers().join(id.as_str())
    }

    pub(crate) fn hostname(&self, id: &ContainerId) -> PathBuf {
        self.container(id).join("hostname")
    }

    pub(crate) fn hosts(&self, id: &ContainerId) -> PathBuf {
        self.container(id).join("hosts")
    }

    pub(crate) fn resolv_conf(&self, id: &ContainerId) -> PathBuf {
        self.container(id).join("resolv.conf")
    }

    pub(crate) fn log(&self, id: &ContainerId) -> PathBuf {
        self.container(id).join(format!("{id}-json.log"))
    }

    pub(crate) fn volumes(&self) -> PathBuf {
        self.data.join("volumes")
    }

    pub(crate) fn volume(&self, name: &str) -> PathBuf {
        self.volumes().join(name)
    }

    pub(crate) fn volume_content(&self, name: &str) -> PathBuf {
        self.volume(name).join("_data")
    }

    pub(crate) fn boot_id(&self) -> PathBuf {
        self.exec_root.join("boot-id")
    }

    pub(crate) fn execs(&self) -> PathBuf {
        self.exec_root.join("execs")
    }

    pub(crate) fn passing_containers(&self) -> PathBuf {
        self.exec_root.join("boot-records/containers")
    }

    pub(crate) fn passing_snapshots(&self) -> PathBuf {
        self.exec_root.join("boot-records/snapshots")
    }

    pub(crate) fn shims(&self) -> PathBuf {
        self.exec_root.join("shims")
    }

    pub(crate) fn bundle(&self, id: &ContainerId) -> PathBuf {
        self.shims().join(id.as_str())
    }
}
