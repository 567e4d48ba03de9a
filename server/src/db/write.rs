//! Transactions that change something.
//!
//! PostgreSQL gets one transaction per change. SQLite has one writer and pays
//! one fsync per commit, so changes that arrive together share one:
//!
//! ```text
//! begin: lock, BEGIN if none is open, SAVEPOINT    ... statements ...
//! commit: unlock, wait ─────────────────────────────────────┐
//! another begin: lock, RELEASE, SAVEPOINT ... commit: wait ─┤
//! committer: lock (queued behind them), COMMIT, answer all who wait
//! ```
//!
//! The lock is first come, first served: the committer queues up behind every
//! change that was already waiting, and all of those are in its commit. A
//! change is never acknowledged before the commit that holds it. Its savepoint
//! is left to whoever holds the lock next, for every statement crosses to a
//! thread and back: one that was made is released along with the next one's
//! SAVEPOINT or by the COMMIT, one that was dropped half-way is rolled back.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;

use sqlx::AnyConnection;
use sqlx::Row as _;
use sqlx::pool::PoolConnection;
use sqlx::{Any, AnyPool, Transaction};
use tokio::sync::{Mutex, Notify, OwnedMutexGuard, oneshot};

use super::DbError;

/// How often it is asked whether another process changed the SQLite file.
const WATCH_EVERY: Duration = Duration::from_millis(500);

/// How a batch ended, for everyone in it.
type Committed = Result<(), Arc<DbError>>;

/// Where changes begin.
#[derive(Debug)]
pub(super) enum Writer {
    Sqlite(Batches),
    Postgres(AnyPool),
}

/// One change: all of it happens, or none.
#[derive(Debug)]
pub(super) enum Write {
    Sqlite(BatchedWrite),
    Postgres(Transaction<'static, Any>),
}

impl Writer {
    /// A writer over a pool of one connection.
    pub(super) fn sqlite(pool: AnyPool) -> Self {
        Self::Sqlite(Batches::new(pool))
    }

    /// Also hears of changes that another process makes to the SQLite file.
    pub(super) fn watch(&self, connection: AnyConnection) {
        if let Self::Sqlite(batches) = self {
            batches.watch(connection);
        }
    }

    /// Starts a change. Dropping it undoes it.
    pub(super) async fn begin(&self) -> Result<Write, DbError> {
        match self {
            Self::Postgres(pool) => Ok(Write::Postgres(pool.begin().await?)),
            Self::Sqlite(batches) => Ok(Write::Sqlite(batches.begin().await?)),
        }
    }

    /// A number that is another one after every commit. What was read after
    /// asking for it is still true while it is the same, but for what an
    /// administrator's command did to an SQLite file within [`WATCH_EVERY`].
    /// `None` while a commit is being made, and where other processes commit too.
    pub(super) fn settled(&self) -> Option<u64> {
        match self {
            Self::Postgres(_) => None,
            Self::Sqlite(batches) => {
                let commits = batches.commits.load(Ordering::SeqCst);
                commits.is_multiple_of(2).then_some(commits)
            }
        }
    }
}

impl Write {
    /// The connection to run this change's statements on.
    pub(super) fn connection(&mut self) -> Result<&mut AnyConnection, DbError> {
        match self {
            Self::Postgres(transaction) => Ok(&mut *transaction),
            Self::Sqlite(write) => write.batch()?.connection(),
        }
    }

    /// Returns once the change is durable.
    pub(super) async fn commit(self) -> Result<(), DbError> {
        match self {
            Self::Postgres(transaction) => Ok(transaction.commit().await?),
            Self::Sqlite(write) => write.commit().await,
        }
    }
}

/// The one connection that writes to SQLite, and the task that commits on it.
#[derive(Debug)]
pub(super) struct Batches {
    batch: Arc<Mutex<Batch>>,
    work: Arc<Notify>,
    commits: Arc<AtomicU64>,
}

impl Batches {
    fn new(pool: AnyPool) -> Self {
        let commits = Arc::new(AtomicU64::new(0));
        let batch = Arc::new(Mutex::new(Batch {
            pool,
            connection: None,
            stage: Stage::Closed,
            waiting: Vec::new(),
            commits: Arc::clone(&commits),
        }));
        let work = Arc::new(Notify::new());
        tokio::spawn(commit_batches(Arc::downgrade(&batch), Arc::clone(&work)));
        Self {
            batch,
            work,
            commits,
        }
    }

    /// Asks from time to time whether another process changed the file, which
    /// counts as a commit here. `connection` is for this alone: what it is told
    /// is a number of its own.
    fn watch(&self, mut connection: AnyConnection) {
        let commits = Arc::downgrade(&self.commits);
        tokio::spawn(async move {
            let mut seen: Option<i64> = None;
            loop {
                tokio::time::sleep(WATCH_EVERY).await;
                let Some(commits) = commits.upgrade() else {
                    return;
                };
                let asked = sqlx::query("PRAGMA data_version")
                    .fetch_one(&mut connection)
                    .await
                    .and_then(|row| row.try_get::<i64, _>(0));
                let now = asked.ok();
                if now.is_none() || now != seen {
                    // Two: it stays even, for none is being made here.
                    commits.fetch_add(2, Ordering::SeqCst);
                    seen = now;
                }
            }
        });
    }

    async fn begin(&self) -> Result<BatchedWrite, DbError> {
        let mut batch = Arc::clone(&self.batch).lock_owned().await;
        batch.join().await?;
        Ok(BatchedWrite {
            batch: Some(batch),
            work: Arc::clone(&self.work),
        })
    }
}

impl Drop for Batches {
    fn drop(&mut self) {
        // The committer notices that the batch is gone and ends.
        self.work.notify_one();
    }
}

/// A change inside a batch; holds the lock until it is released.
#[derive(Debug)]
pub(super) struct BatchedWrite {
    batch: Option<OwnedMutexGuard<Batch>>,
    work: Arc<Notify>,
}

impl BatchedWrite {
    fn batch(&mut self) -> Result<&mut Batch, DbError> {
        self.batch
            .as_deref_mut()
            .ok_or(DbError::GivenUp("it was committed before"))
    }

    async fn commit(mut self) -> Result<(), DbError> {
        let (answer, answered) = oneshot::channel();
        self.batch()?.leave(answer);
        drop(self);
        match answered.await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(reason)) => Err(DbError::Commit(reason)),
            Err(_) => Err(DbError::GivenUp("the committer is gone")),
        }
    }
}

impl Drop for BatchedWrite {
    fn drop(&mut self) {
        self.batch = None;
        self.work.notify_one();
    }
}

#[derive(Debug)]
struct Batch {
    pool: AnyPool,
    /// `None` before the first change and after a connection was given up.
    connection: Option<PoolConnection<Any>>,
    stage: Stage,
    waiting: Vec<oneshot::Sender<Committed>>,
    /// Counts the beginning and the end of each commit: odd while one is made.
    commits: Arc<AtomicU64>,
}

/// Where the transaction is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// There is none.
    Closed,
    /// Its savepoint is being opened. Seen by anyone, whoever wanted it left
    /// meanwhile: it may be there or not, and nothing was done in it.
    Joining,
    /// A change is under way in a savepoint. Seen by anyone but its owner, it is
    /// one that was dropped.
    Changing,
    /// The change in the savepoint was made.
    Changed,
}

impl Batch {
    fn connection(&mut self) -> Result<&mut AnyConnection, DbError> {
        match &mut self.connection {
            Some(connection) => Ok(&mut *connection),
            None => Err(DbError::GivenUp("its connection broke")),
        }
    }

    async fn run(&mut self, statement: &'static str) -> Result<(), DbError> {
        sqlx::raw_sql(statement).execute(self.connection()?).await?;
        Ok(())
    }

    /// Opens a savepoint for one change, and a transaction if there is none.
    async fn join(&mut self) -> Result<(), DbError> {
        if self.connection.is_none() {
            self.connection = Some(self.pool.acquire().await?);
        }
        let statement = match self.stage {
            // IMMEDIATE: a writer in another process is waited for here, not
            // in the middle of a change.
            Stage::Closed => "BEGIN IMMEDIATE; SAVEPOINT change",
            // Another one of that name inside it is fine.
            Stage::Joining => "SAVEPOINT change",
            // The savepoint stays open when it is rolled back to.
            Stage::Changing => "ROLLBACK TO change",
            Stage::Changed => "RELEASE change; SAVEPOINT change",
        };
        // Before the statements: this future may be dropped while they run,
        // which leaves out those that have not begun.
        if self.stage != Stage::Changing {
            self.stage = Stage::Joining;
        }
        let joined = self.run(statement).await;
        match &joined {
            Ok(()) => self.stage = Stage::Changing,
            Err(_) => {
                self.fail(DbError::GivenUp("a change could not join it"))
                    .await;
            }
        }
        joined
    }

    /// Makes the change part of the batch, to be answered when that commits.
    fn leave(&mut self, answer: oneshot::Sender<Committed>) {
        self.stage = Stage::Changed;
        self.waiting.push(answer);
    }

    async fn commit(&mut self) {
        let statement = match self.stage {
            Stage::Closed => return,
            Stage::Changing => "ROLLBACK TO change; COMMIT",
            Stage::Joining | Stage::Changed => "COMMIT",
        };
        self.commits.fetch_add(1, Ordering::SeqCst);
        let committed = self.run(statement).await;
        // Before anyone is told that it is done.
        self.commits.fetch_add(1, Ordering::SeqCst);
        match committed {
            Ok(()) => {
                self.stage = Stage::Closed;
                for answer in self.waiting.drain(..) {
                    // A caller that went away needs no answer.
                    drop(answer.send(Ok(())));
                }
            }
            Err(error) => {
                self.fail(error).await;
            }
        }
    }

    /// Gives the whole batch up and tells everyone in it.
    async fn fail(&mut self, reason: DbError) {
        let reason = Arc::new(reason);
        self.stage = Stage::Closed;
        if self.run("ROLLBACK").await.is_err()
            && let Some(connection) = self.connection.take()
            && let Err(error) = connection.close().await
        {
            tracing::debug!(%error, "a database connection closed badly");
        }
        for answer in self.waiting.drain(..) {
            drop(answer.send(Err(Arc::clone(&reason))));
        }
    }
}

async fn commit_batches(batch: Weak<Mutex<Batch>>, work: Arc<Notify>) {
    loop {
        work.notified().await;
        let Some(batch) = batch.upgrade() else {
            return;
        };
        batch.lock_owned().await.commit().await;
    }
}

#[cfg(test)]
mod tests {
    use sqlx::Row as _;

    use super::super::Database;
    use crate::testing;

    async fn put(database: &Database, name: &str, is_made: bool) {
        let mut write = database.begin().await.unwrap();
        sqlx::query("INSERT INTO repositories (name, created_at) VALUES ($1, 0)")
            .bind(name)
            .execute(write.connection().unwrap())
            .await
            .unwrap();
        if is_made {
            write.commit().await.unwrap();
        }
    }

    async fn names(database: &Database) -> Vec<String> {
        sqlx::query("SELECT name FROM repositories ORDER BY name")
            .fetch_all(&database.readers)
            .await
            .unwrap()
            .iter()
            .map(|row| row.get("name"))
            .collect()
    }

    /// Begins a change and leaves after the runtime had `turns` at other things.
    async fn begin_and_leave(database: &Database, turns: usize) {
        let leave = async {
            for _ in 0..turns {
                tokio::task::yield_now().await;
            }
        };
        tokio::select! {
            biased;
            _begun = database.begin() => {}
            () = leave => {}
        }
    }

    #[tokio::test]
    async fn who_leaves_while_it_begins_is_nobodys_failure() {
        let (config, _keep) = testing::sqlite();
        let database = Database::open(&config).await.unwrap();
        let mut expected = Vec::new();
        for round in 0..30 {
            let (before, after) = (format!("{round:02}a"), format!("{round:02}b"));
            for turns in [round, round / 2] {
                begin_and_leave(&database, turns).await;
            }
            let leaving = (0..6).map(|n| begin_and_leave(&database, round + 7 * n));
            tokio::join!(
                put(&database, &before, true),
                futures_util::future::join_all(leaving),
                put(&database, &after, true),
            );
            expected.extend([before, after]);
        }
        assert_eq!(names(&database).await, expected);
    }

    #[tokio::test]
    async fn of_changes_that_share_a_commit_the_dropped_ones_are_undone() {
        let (config, _keep) = testing::sqlite();
        let database = Database::open(&config).await.unwrap();
        // Alone, and after one another.
        put(&database, "alone", false).await;
        put(&database, "again", true).await;
        put(&database, "last", false).await;
        assert_eq!(names(&database).await, ["again"]);
        // The lock is fair: these are one batch, in this order.
        let together = (0..12).map(|n| {
            let database = &database;
            async move { put(database, &format!("n{n:02}"), n % 3 != 1).await }
        });
        futures_util::future::join_all(together).await;
        // And one whose statement failed.
        let mut write = database.begin().await.unwrap();
        let failed = sqlx::query("INSERT INTO repositories (name) VALUES ('half')")
            .execute(write.connection().unwrap())
            .await;
        assert!(failed.is_err());
        drop(write);
        put(&database, "z", true).await;
        let kept = (0..12).filter(|n| n % 3 != 1).map(|n| format!("n{n:02}"));
        let mut expected = vec!["again".to_owned()];
        expected.extend(kept);
        expected.push("z".to_owned());
        assert_eq!(names(&database).await, expected);
    }
}
