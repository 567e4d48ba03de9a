//! Changing a container that exists: rename, update, resize.

use super::request::UpdateRequest;
use super::start::launch_error;
use super::validate;
use crate::engine::{Engine, EngineError, runtime_spec};
use crate::spec::{ContainerName, ContainerRef, ContainerState, Resources};

impl Engine {
    pub async fn rename_container(
        &self,
        container: &ContainerRef,
        name: ContainerName,
    ) -> Result<(), EngineError> {
        let container = self.find_container(container)?;
        let engine = self.clone();
        self.carry_out(async move {
            let mut verb = container.verb().await;
            let old = verb.read(|record| record.name.clone());
            if old == name {
                return Err(EngineError::InvalidParameter(
                    "Renaming a container with the same name as its current name".to_owned(),
                ));
            }
            let containers = &engine.shared.containers;
            containers.reserve_name(&name, verb.id())?;
            if let Err(error) = verb.update(|record| record.name = name.clone()).await {
                containers.free_name(&name, verb.id());
                return Err(error);
            }
            containers.free_name(&old, verb.id());
            let old_name = [("oldName", format!("/{old}"))];
            engine.container_event(&verb, "rename", &old_name);
            Ok(())
        })
        .await
    }

    /// Answers with warnings.
    pub async fn update_container(
        &self,
        container: &ContainerRef,
        request: UpdateRequest,
    ) -> Result<Vec<String>, EngineError> {
        let container = self.find_container(container)?;
        let engine = self.clone();
        self.carry_out(async move {
            let mut verb = container.verb().await;
            if matches!(
                verb.state(),
                ContainerState::Removing | ContainerState::Dead
            ) {
                return Err(EngineError::Conflict(
                    "container is marked for removal and cannot be \"update\"".to_owned(),
                ));
            }
            let mut host = verb.read(|record| record.host.clone());
            overlay(&mut host.resources, request.resources);
            if let Some(policy) = request.restart_policy {
                if host.auto_remove && policy != crate::spec::RestartPolicy::No {
                    return Err(EngineError::InvalidParameter(
                        "restart policy cannot be updated because AutoRemove is enabled for the \
                         container"
                            .to_owned(),
                    ));
                }
                host.restart_policy = policy;
            }
            validate::validate(&verb.read(|record| record.config.clone()), &host)?;
            if let Some(shim) = verb.shim() {
                let limits = runtime_spec::resources(&host.resources)?;
                shim.cgroup().update(&limits).map_err(launch_error)?;
            }
            verb.update(|record| record.host = host).await?;
            engine.container_event(&verb, "update", &[]);
            Ok(Vec::new())
        })
        .await
    }

    /// Sets the size of the container's terminal, in rows and columns.
    pub async fn resize_container(
        &self,
        container: &ContainerRef,
        rows: u16,
        columns: u16,
    ) -> Result<(), EngineError> {
        let container = self.find_container(container)?;
        let shim = container
            .shim()
            .ok_or_else(|| EngineError::not_running(container.id()))?;
        shim.resize(rows, columns).await.map_err(launch_error)?;
        let size = [("height", rows.to_string()), ("width", columns.to_string())];
        self.container_event(&container, "resize", &size);
        Ok(())
    }
}

/// What was said replaces what was; what was not said stays.
fn overlay(current: &mut Resources, said: Resources) {
    fn put<T>(current: &mut Option<T>, said: Option<T>) {
        if said.is_some() {
            *current = said;
        }
    }
    fn text(current: &mut String, said: String) {
        if !said.is_empty() {
            *current = said;
        }
    }
    put(&mut current.memory_bytes, said.memory_bytes);
    put(
        &mut current.memory_reservation_bytes,
        said.memory_reservation_bytes,
    );
    put(&mut current.memory_swap_bytes, said.memory_swap_bytes);
    put(&mut current.memory_swappiness, said.memory_swappiness);
    put(&mut current.cpu.quota_us, said.cpu.quota_us);
    put(&mut current.cpu.period_us, said.cpu.period_us);
    put(&mut current.cpu.nano_cpus, said.cpu.nano_cpus);
    put(&mut current.cpu_shares, said.cpu_shares);
    text(&mut current.cpuset_cpus, said.cpuset_cpus);
    text(&mut current.cpuset_mems, said.cpuset_mems);
    put(&mut current.pids_limit, said.pids_limit);
    put(&mut current.blkio.weight, said.blkio.weight);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unsaid_limits_stay() {
        let mut current = Resources {
            memory_bytes: Some(64 << 20),
            cpuset_cpus: "0".to_owned(),
            ..Resources::default()
        };
        let said = Resources {
            cpu_shares: Some(512),
            ..Resources::default()
        };
        overlay(&mut current, said);
        assert_eq!(current.memory_bytes, Some(64 << 20));
        assert_eq!(current.cpu_shares, Some(512));
        assert_eq!(current.cpuset_cpus, "0");
    }
}
