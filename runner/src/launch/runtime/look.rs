//! What callers may know about containers.

use serde::Serialize;
use serde_json::{Value, json};

use super::Result;
use super::record::{Container, Root, SPEC_VERSION, Status};

/// One line of `list`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Listed {
    pub id: String,
    /// 0 once it has ended.
    pub pid: i32,
    pub status: &'static str,
    pub bundle: String,
    pub created: String,
}

/// The state in the words of the specification, with what runc adds to them.
pub fn state(root: &Root, id: &str) -> Result<Value> {
    let container = root.find(id)?;
    let listed = listed(&container)?;
    let spec = container.spec()?;
    let mut state = json!({
        "ociVersion": SPEC_VERSION,
        "id": listed.id,
        "status": listed.status,
        "pid": listed.pid,
        "bundle": listed.bundle,
        "rootfs": container.record.rootfs,
        "created": listed.created,
    });
    if let Some(annotations) = spec.annotations() {
        state["annotations"] = json!(annotations);
    }
    Ok(state)
}

/// All containers; one that is removed meanwhile is left out.
pub fn list(root: &Root) -> Result<Vec<Listed>> {
    let mut all = Vec::new();
    for id in root.ids()? {
        if let Ok(container) = root.find(&id) {
            all.push(listed(&container)?);
        }
    }
    Ok(all)
}

/// Process ids, as the runtime counts.
pub fn processes(root: &Root, id: &str) -> Result<Vec<i32>> {
    let container = root.find(id)?;
    if container.status()? == Status::Stopped {
        return Ok(Vec::new());
    }
    Ok(container.cgroup()?.processes()?)
}

fn listed(container: &Container) -> Result<Listed> {
    let record = &container.record;
    let status = container.status()?;
    Ok(Listed {
        id: record.id.clone(),
        pid: if status == Status::Stopped {
            0
        } else {
            record.pid
        },
        status: status.word(),
        bundle: record.bundle.display().to_string(),
        created: record.created.to_string(),
    })
}
