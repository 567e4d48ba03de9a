//! What every store does, whichever it is.

use bytes::Bytes;
use futures_util::TryStreamExt as _;

use super::{BATCH_BYTES, BlobStore, StoreError};
use crate::config::StorageConfig;
use crate::testing;

#[tokio::test]
async fn on_memory() {
    suite(&testing::memory()).await;
}

#[tokio::test]
async fn on_disk() {
    let (config, _keep) = testing::disk();
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

#[tokio::test]
async fn a_restart_removes_what_was_half_written() {
    let (config, _keep) = testing::disk();
    let store = BlobStore::open(&config).unwrap();
    let staging = config.url.to_file_path().unwrap().join("staging");
    let mut writer = store.writer();
    writer.write(vec![content(BATCH_BYTES)]).await.unwrap();
    writer.write(vec![content(BATCH_BYTES)]).await.unwrap();
    // As after kill -9: nobody drops anything.
    std::mem::forget(writer);
    assert_eq!(std::fs::read_dir(&staging).unwrap().count(), 1);
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
