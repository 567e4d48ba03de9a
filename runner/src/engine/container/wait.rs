//! Waiting for a container.

use futures_util::future::BoxFuture;
use tokio::sync::watch;

use super::cell::Life;
use super::request::WaitCondition;
use super::view::Waited;
use crate::engine::{Engine, EngineError};
use crate::spec::{ContainerRef, Exit};

impl Engine {
    /// Returns once the wait is registered: an exit after that is not missed. The future then
    /// resolves when the condition holds.
    pub async fn wait_container(
        &self,
        container: &ContainerRef,
        condition: WaitCondition,
    ) -> Result<BoxFuture<'static, Result<Waited, EngineError>>, EngineError> {
        let container = self.find_container(container)?;
        let mut life = container.watch();
        // Looked at now, not when the future is first polled: that is the registration.
        let n_exits = life.borrow_and_update().n_exits;
        Ok(Box::pin(until(life, n_exits, condition)))
    }
}

async fn until(
    mut life: watch::Receiver<Life>,
    registered: u64,
    condition: WaitCondition,
) -> Result<Waited, EngineError> {
    let holds = |life: &Life| match condition {
        WaitCondition::NotRunning => !life.active || life.n_exits > registered,
        WaitCondition::NextExit => life.n_exits > registered || life.removed,
        WaitCondition::Removed => life.removed,
    };
    let life = life
        .wait_for(holds)
        .await
        .map_err(|_| EngineError::Internal("the container is gone".to_owned()))?;
    let exit = life.last_exit.as_ref();
    // What kept init from running is the answer to the start and shown by inspect.
    Ok(Waited {
        code: exit.map_or(0, |exit: &Exit| exit.code),
    })
}
