//! Blocking work on one thing, in the order in which it is handed over.
//!
//! A thread is held only while there is work: a thousand slow uploads do not
//! cost a thousand of them. While one job runs others may wait, so that the
//! thread goes from one to the next without anybody being woken in between.

use std::collections::VecDeque;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::spawn_blocking;

/// How many jobs there are at most: one that runs, and three that wait.
const JOBS: u32 = 4;

/// The thing, and what is to be done with it.
#[derive(Debug)]
pub(crate) struct Lane<T> {
    work: Arc<Mutex<Work<T>>>,
    /// Closed when a job failed.
    room: Arc<Semaphore>,
}

struct Work<T> {
    /// `None` while a thread has it, and after a job failed.
    thing: Option<T>,
    waiting: VecDeque<Job<T>>,
    failed: Option<io::Error>,
}

type Run<T> = dyn FnOnce(&mut T) -> io::Result<()> + Send;

struct Job<T> {
    run: Box<Run<T>>,
    /// Given back when it is done.
    room: OwnedSemaphorePermit,
}

impl<T> std::fmt::Debug for Work<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Work")
            .field("waiting", &self.waiting.len())
            .field("failed", &self.failed)
            .finish_non_exhaustive()
    }
}

impl<T: Send + 'static> Lane<T> {
    pub(crate) fn new(thing: T) -> Self {
        Self {
            work: Arc::new(Mutex::new(Work {
                thing: Some(thing),
                waiting: VecDeque::new(),
                failed: None,
            })),
            room: Arc::new(Semaphore::new(JOBS as usize)),
        }
    }

    /// Hands a job over; returns when there is room for it.
    ///
    /// # Errors
    ///
    /// That of an earlier job; there will be no other then.
    pub(crate) async fn push(
        &mut self,
        job: impl FnOnce(&mut T) -> io::Result<()> + Send + 'static,
    ) -> io::Result<()> {
        let Ok(room) = Arc::clone(&self.room).acquire_owned().await else {
            return Err(self.failure());
        };
        let idle = {
            let mut work = lock(&self.work);
            work.waiting.push_back(Job {
                run: Box::new(job),
                room,
            });
            work.thing.take()
        };
        if let Some(thing) = idle {
            let thread = Thread {
                work: Arc::clone(&self.work),
                room: Arc::clone(&self.room),
                is_done: false,
            };
            spawn_blocking(move || thread.run(thing));
        }
        Ok(())
    }

    /// Does a job that is not worth a thread, after every one that was handed
    /// over.
    ///
    /// # Errors
    ///
    /// Its own, or that of the first job that failed.
    pub(crate) async fn run_here(
        &mut self,
        job: impl FnOnce(&mut T) -> io::Result<()>,
    ) -> io::Result<()> {
        let mut thing = self.finish().await?;
        let done = job(&mut thing);
        lock(&self.work).thing = Some(thing);
        done
    }

    /// The thing, after every job that was handed over; there are to be no others.
    ///
    /// # Errors
    ///
    /// That of the first job that failed.
    pub(crate) async fn finish(&mut self) -> io::Result<T> {
        let Ok(_everybody) = self.room.acquire_many(JOBS).await else {
            return Err(self.failure());
        };
        let thing = lock(&self.work).thing.take();
        thing.ok_or_else(|| self.failure())
    }

    fn failure(&self) -> io::Error {
        let failed = lock(&self.work).failed.take();
        failed.unwrap_or_else(|| io::Error::other("it failed before"))
    }
}

/// A thread at work. One that ends before its work does closes the lane.
struct Thread<T> {
    work: Arc<Mutex<Work<T>>>,
    room: Arc<Semaphore>,
    is_done: bool,
}

impl<T> Thread<T> {
    fn run(mut self, mut thing: T) {
        // The room of a job is given back only when it was seen whether there is another one: who
        // has all the room finds the thing.
        let mut room = None;
        loop {
            let mut work = lock(&self.work);
            let Some(job) = work.waiting.pop_front() else {
                work.thing = Some(thing);
                drop(work);
                self.is_done = true;
                return;
            };
            drop(work);
            drop(room);
            if let Err(error) = (job.run)(&mut thing) {
                lock(&self.work).failed = Some(error);
                return;
            }
            room = Some(job.room);
        }
    }
}

impl<T> Drop for Thread<T> {
    fn drop(&mut self) {
        if !self.is_done {
            self.room.close();
            lock(&self.work).waiting.clear();
        }
    }
}

fn lock<T>(work: &Mutex<Work<T>>) -> MutexGuard<'_, Work<T>> {
    work.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn jobs_are_done_in_order_and_few_wait() {
        let mut lane = Lane::new(Vec::new());
        for n in 0..1000 {
            lane.push(move |done: &mut Vec<i32>| {
                done.push(n);
                Ok(())
            })
            .await
            .unwrap();
            assert!(lock(&lane.work).waiting.len() <= JOBS as usize);
        }
        assert_eq!(lane.finish().await.unwrap(), (0..1000).collect::<Vec<_>>());
    }

    #[tokio::test]
    async fn a_job_that_is_done_here_waits_for_the_others() {
        let mut lane = Lane::new(Vec::new());
        for n in 0..100 {
            let job = move |done: &mut Vec<i32>| {
                done.push(n);
                Ok(())
            };
            if n % 7 == 0 {
                lane.run_here(job).await.unwrap();
            } else {
                lane.push(job).await.unwrap();
            }
        }
        assert_eq!(lane.finish().await.unwrap(), (0..100).collect::<Vec<_>>());
    }

    #[tokio::test]
    async fn without_jobs_it_is_what_it_was() {
        assert_eq!(Lane::new(7).finish().await.unwrap(), 7);
    }

    #[tokio::test]
    async fn the_first_failure_is_told_and_ends_it() {
        let mut lane = Lane::new(0);
        lane.push(|_| Err(io::ErrorKind::StorageFull.into()))
            .await
            .unwrap();
        let told = loop {
            let pushed = lane.push(|n| {
                *n += 1;
                Ok(())
            });
            if let Err(error) = pushed.await {
                break error;
            }
        };
        assert_eq!(told.kind(), io::ErrorKind::StorageFull);
        lane.finish().await.unwrap_err();
        let mut lane = Lane::new(0);
        lane.push(|_| Err(io::ErrorKind::StorageFull.into()))
            .await
            .unwrap();
        let told = lane.finish().await.unwrap_err();
        assert_eq!(told.kind(), io::ErrorKind::StorageFull);
    }

    #[tokio::test]
    async fn a_panic_is_a_failure() {
        let mut lane = Lane::new(0);
        lane.push(|_| panic!("of the test")).await.unwrap();
        lane.finish().await.unwrap_err();
    }
}
