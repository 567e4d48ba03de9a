//! Which containers there are, and what their names are.
//!
//! The lock is held for look-ups and inserts only, never over I/O.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::cell::Container;
use crate::engine::EngineError;
use crate::spec::{ContainerId, ContainerName, ContainerRef};

/// Every container, by id, and every name that is taken.
#[derive(Debug, Default)]
pub(crate) struct Table {
    inner: Mutex<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    by_id: BTreeMap<ContainerId, Arc<Container>>,
    /// A name is taken before its container is in the table, and freed after it has left.
    names: BTreeMap<ContainerName, ContainerId>,
}

impl Table {
    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes a name, or says who has it.
    pub(crate) fn reserve_name(
        &self,
        name: &ContainerName,
        id: &ContainerId,
    ) -> Result<(), EngineError> {
        let mut inner = self.lock();
        if let Some(owner) = inner.names.get(name) {
            return Err(EngineError::Conflict(format!(
                "Conflict. The container name \"/{name}\" is already in use by container \
                 \"{owner}\". You have to remove (or rename) that container to be able to reuse \
                 that name."
            )));
        }
        inner.names.insert(name.clone(), id.clone());
        Ok(())
    }

    /// Frees a name if `id` has it.
    pub(crate) fn free_name(&self, name: &ContainerName, id: &ContainerId) {
        let mut inner = self.lock();
        if inner.names.get(name) == Some(id) {
            inner.names.remove(name);
        }
    }

    pub(crate) fn insert(&self, container: Arc<Container>) {
        self.lock().by_id.insert(container.id().clone(), container);
    }

    pub(crate) fn remove(&self, id: &ContainerId) {
        self.lock().by_id.remove(id);
    }

    /// All of them, in no useful order.
    pub(crate) fn all(&self) -> Vec<Arc<Container>> {
        self.lock().by_id.values().cloned().collect()
    }

    /// Full id first, then name, then the start of one id only; as docker looks.
    pub(crate) fn find(&self, wanted: &ContainerRef) -> Result<Arc<Container>, EngineError> {
        let text = wanted.as_str();
        if text.is_empty() {
            return Err(EngineError::InvalidParameter(
                "no container name or ID supplied".to_owned(),
            ));
        }
        let inner = self.lock();
        if let Some(found) = text
            .parse()
            .ok()
            .and_then(|id: ContainerId| inner.by_id.get(&id))
        {
            return Ok(Arc::clone(found));
        }
        let by_name = text
            .parse()
            .ok()
            .and_then(|name: ContainerName| inner.names.get(&name))
            .and_then(|id| inner.by_id.get(id));
        if let Some(found) = by_name {
            return Ok(Arc::clone(found));
        }
        let mut with_prefix = inner
            .by_id
            .iter()
            .filter(|(id, _)| id.as_str().starts_with(text));
        match (with_prefix.next(), with_prefix.next()) {
            (Some((_, found)), None) => Ok(Arc::clone(found)),
            (Some(_), Some(_)) => Err(EngineError::InvalidParameter(format!(
                "multiple IDs found with provided prefix: {text}"
            ))),
            (None, _) => Err(EngineError::no_such_container(text)),
        }
    }
}
