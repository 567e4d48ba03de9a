//! The rules that hold now: those of the configuration and those that were set.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::{Registry, RegistryError};
use crate::config::Policies;
use crate::db::{PolicyKind, Terms};

/// For so long, what another replica set may not be known here.
const FRESH: Duration = Duration::from_secs(1);

/// The rules as they were read last.
#[derive(Debug, Default)]
pub(super) struct KnownPolicies(Mutex<Option<(Instant, Arc<Policies>)>>);

impl KnownPolicies {
    fn get(&self) -> Option<Arc<Policies>> {
        let known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (at, policies) = known.as_ref()?;
        (at.elapsed() < FRESH).then(|| Arc::clone(policies))
    }

    fn put(&self, policies: Option<&Arc<Policies>>) {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        *known = policies.map(|policies| (Instant::now(), Arc::clone(policies)));
    }
}

impl Registry {
    /// Every rule that holds.
    pub(crate) async fn policies(&self) -> Result<Arc<Policies>, RegistryError> {
        if let Some(policies) = self.known_policies.get() {
            return Ok(policies);
        }
        let set = self.db.policies().await?;
        let policies = Arc::new(self.rules.policies.clone().and(set));
        self.known_policies.put(Some(&policies));
        Ok(policies)
    }

    /// The rules that were set beside the configuration.
    pub(crate) async fn set_policies(&self) -> Result<Policies, RegistryError> {
        Ok(self.db.policies().await?)
    }

    /// Replaces all rules of one kind that were set; `content` is a JSON array.
    pub(crate) async fn set_policy(
        &self,
        kind: PolicyKind,
        content: &[u8],
        by: &str,
    ) -> Result<(), RegistryError> {
        let checked = match kind {
            PolicyKind::ImmutableTags => written::<crate::config::ImmutableTags>(content),
            PolicyKind::Retention => written::<crate::config::Retention>(content),
            PolicyKind::Quotas => written::<crate::config::Quota>(content),
        };
        let content = checked.map_err(|error| RegistryError::PolicyInvalid(error.to_string()))?;
        self.db.set_policy(kind, &content, by).await?;
        self.known_policies.put(None);
        Ok(())
    }
}

/// The rules as they are stored, if they are rules.
fn written<T>(content: &[u8]) -> serde_json::Result<String>
where
    T: serde::de::DeserializeOwned + serde::Serialize,
{
    let rules: Vec<T> = serde_json::from_slice(content)?;
    serde_json::to_string(&rules)
}

/// The terms of what `by` does now.
pub(super) fn terms<'a>(policies: &'a Policies, by: &'a str) -> Terms<'a> {
    Terms { by, policies }
}
