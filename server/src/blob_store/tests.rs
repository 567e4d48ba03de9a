//! What every store does, whichever it is.

use bytes::Bytes;
use futures_util::TryStreamExt as _;

use super::{BlobStore, StoreError};
use crate::config::StorageConfig;
use crate::testing;

/// How much a writer is handed at a time.
const BATCH_BYTES: usize = 1024 * 1024;

#[tokio::test]
async fn on_memory() {
    suite(&testing::memory()).await;
}

#[tokio::test]
async fn on_disk() {
    let (config, _keep) = testing::disk();
    suite(&config).await;
}

#[tokio::test]
async fn on_s3() {
    let Some((config, _keep)) = testing::s3() else {
        return;
    };
    suite(&config).await;
}

#[tokio::test]
async fn on_azure() {
    let Some((config, _keep)) = testing::azure() else {
        return;
    };
    suite(&config).await;
}

async fn suite(config: &StorageConfig) {
    let store = BlobStore::open(config).unwrap();
    writes_and_reads_any_size(&store).await;
    reads_any_range(&store).await;
    shows_nothing_before_the_end(&store).await;
    deletes_what_is_there_and_what_is_not(&store).await;
    says_what_is_missing(&store).await;
    lists_what_is_finished(&store).await;
    deletes_many_at_once(&store).await;
    tells_sizes(&store).await;
    store.ping().await.unwrap();
}

fn content(size: usize) -> Bytes {
    let pattern: Vec<u8> = (0..=250).collect();
    let mut content = pattern.repeat(size / pattern.len() + 1);
    content.truncate(size);
    Bytes::from(content)
}

async fn write(store: &BlobStore, content: &Bytes, batch: usize) -> String {
    let mut writer = store.writer();
    let mut rest = content.clone();
    while !rest.is_empty() {
        let piece = rest.split_to(batch.min(rest.len()));
        writer.write(vec![piece]).await.unwrap();
    }
    assert_eq!(writer.size_bytes(), content.len() as u64);
    writer.finish().await.unwrap()
}

async fn read(store: &BlobStore, key: &str, range: std::ops::Range<u64>) -> Vec<u8> {
    let pieces: Vec<Bytes> = store
        .read(key, range)
        .await
        .unwrap()
        .try_collect()
        .await
        .unwrap();
    pieces.concat()
}

async fn keys(store: &BlobStore) -> Vec<String> {
    let all: Vec<(String, u64)> = store.list(i64::MAX).try_collect().await.unwrap();
    all.into_iter().map(|(key, _)| key).collect()
}

async fn writes_and_reads_any_size(store: &BlobStore) {
    let part = 8 * 1024 * 1024;
    for size in [1, 100, BATCH_BYTES, part - 1, part, part + 1, 3 * part + 5] {
        let content = content(size);
        for batch in [BATCH_BYTES, 3 * BATCH_BYTES + 7] {
            let key = write(store, &content, batch).await;
            assert_eq!(
                read(store, &key, 0..size as u64).await,
                content,
                "{size} in {batch}"
            );
        }
    }
}

async fn reads_any_range(store: &BlobStore) {
    let content = content(2_000_000);
    let key = write(store, &content, BATCH_BYTES).await;
    for range in [
        0..1,
        5..5,
        524_287..524_289,
        1_999_999..2_000_000,
        100..1_500_000,
    ] {
        let asked = range.start as u64..range.end as u64;
        assert_eq!(read(store, &key, asked).await, content[range]);
    }
}

async fn shows_nothing_before_the_end(store: &BlobStore) {
    let before = keys(store).await.len();
    let mut writer = store.writer();
    for _ in 0..20 {
        writer.write(vec![content(BATCH_BYTES)]).await.unwrap();
    }
    assert_eq!(keys(store).await.len(), before);
    drop(writer);
    assert_eq!(keys(store).await.len(), before);
}

async fn deletes_what_is_there_and_what_is_not(store: &BlobStore) {
    let key = write(store, &content(10), 10).await;
    let gone = store.delete(vec![key.clone()]).await;
    assert_eq!(gone, std::slice::from_ref(&key));
    assert!(!keys(store).await.contains(&key));
    assert_eq!(store.delete(vec![key.clone()]).await, [key]);
}

async fn deletes_many_at_once(store: &BlobStore) {
    let mut keys = Vec::new();
    for _ in 0..30 {
        keys.push(write(store, &content(3), 3).await);
    }
    let mut asked = keys.clone();
    asked.insert(7, "blobs/00/00000000000000000000000000000000".to_owned());
    let mut gone = store.delete(asked.clone()).await;
    gone.sort();
    asked.sort();
    assert_eq!(gone, asked);
    let left = self::keys(store).await;
    assert!(keys.iter().all(|key| !left.contains(key)));
}

async fn tells_sizes(store: &BlobStore) {
    let key = write(store, &content(10), 10).await;
    assert_eq!(store.size_of(&key).await.unwrap(), Some(10));
    let absent = "blobs/00/00000000000000000000000000000000";
    assert_eq!(store.size_of(absent).await.unwrap(), None);
    let (folder, _) = key.rsplit_once('/').unwrap();
    let listed: Vec<_> = store.list_folder(folder).try_collect().await.unwrap();
    let listed = listed.iter().find(|object| object.key == key).unwrap();
    assert_eq!(listed.size_bytes, 10);
}

async fn says_what_is_missing(store: &BlobStore) {
    let outcome = store.read("blobs/00/nothing", 0..1).await;
    assert!(matches!(outcome, Err(StoreError::Missing { .. })));
}

async fn lists_what_is_finished(store: &BlobStore) {
    let key = write(store, &content(10), 10).await;
    assert!(keys(store).await.contains(&key));
    // Nothing was finished in 1970.
    assert!(
        store
            .list(1)
            .try_collect::<Vec<_>>()
            .await
            .unwrap()
            .is_empty()
    );
}

/// What a process that is killed leaves on a store behind the network.
#[tokio::test]
async fn unfinished_uploads_are_aborted_on_s3() {
    let Some((config, keep)) = testing::s3() else {
        return;
    };
    let folder = keep.emulator.as_ref().unwrap().folder();
    let parts = || {
        let entries = std::fs::read_dir(folder).unwrap();
        let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
        names
            .filter(|name| name.contains("upload_id"))
            .collect::<Vec<_>>()
    };
    let store = BlobStore::open(&config).unwrap();
    let mut writer = store.writer();
    for _ in 0..20 {
        writer.write(vec![content(BATCH_BYTES)]).await.unwrap();
    }
    std::mem::forget(writer);
    // The second of them is sent by a task of its own.
    while !parts().iter().any(|name| name.ends_with(".part-2")) {
        tokio::task::yield_now().await;
    }
    assert_eq!(store.abort_orphans(1).await.unwrap(), 0, "it is young");
    assert_eq!(store.abort_orphans(i64::MAX).await.unwrap(), 1);
    assert_eq!(parts(), Vec::<String>::new(), "the store keeps no part");
    assert_eq!(store.abort_orphans(i64::MAX).await.unwrap(), 0);
    // What was finished in good order leaves nothing to abort.
    write(&store, &content(20 * BATCH_BYTES), BATCH_BYTES).await;
    assert_eq!(store.abort_orphans(i64::MAX).await.unwrap(), 0);
}

#[tokio::test]
async fn a_restart_removes_what_was_half_written() {
    let (config, _keep) = testing::disk();
    let store = BlobStore::open(&config).unwrap();
    let staging = config.url.to_file_path().unwrap().join("staging");
    let mut writer = store.writer();
    // The first is held back until there is a second.
    for _ in 0..2 {
        writer.write(vec![content(BATCH_BYTES)]).await.unwrap();
    }
    // Which a thread writes.
    while std::fs::read_dir(&staging).unwrap().count() == 0 {
        tokio::task::yield_now().await;
    }
    // As after kill -9: nobody drops anything.
    std::mem::forget(writer);
    let restarted = BlobStore::open(&config).unwrap();
    assert_eq!(std::fs::read_dir(&staging).unwrap().count(), 1);
    let _owned = restarted.take_over().unwrap();
    assert_eq!(std::fs::read_dir(&staging).unwrap().count(), 0);
    // A second process would remove what the first is writing.
    assert!(matches!(
        restarted.take_over(),
        Err(StoreError::InUse { .. })
    ));
}
