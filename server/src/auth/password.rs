//! Passwords: argon2id, checked so that logins starve nothing else.
//!
//! A check takes tens of milliseconds of a processor, on purpose. Only so many
//! run at once, on threads of their own; only so many wait; and who was right a
//! moment ago is not checked again, so that a client that sends its password
//! with every request costs one check.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use argon2::password_hash::{PasswordHash, SaltString};
use argon2::{Argon2, PasswordHasher as _, PasswordVerifier as _};
use aws_lc_rs::hmac;
use rand::RngCore as _;
use tokio::sync::Semaphore;

/// How many may wait for a check.
const QUEUE: usize = 64;
/// For how long who was right is not checked again.
const REMEMBER: Duration = Duration::from_mins(5);
/// How many who were right are remembered.
const REMEMBERED: usize = 10_000;
/// Longer ones are no passwords.
const MAX_BYTES: usize = 1024;

/// Too many passwords are waiting to be checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Busy;

/// What checks passwords.
#[derive(Debug)]
pub(super) struct Passwords {
    slots: Arc<Semaphore>,
    queue: Arc<Semaphore>,
    /// Keyed with a secret of this process: what is kept here could not be
    /// guessed from even if it leaked.
    key: hmac::Key,
    right: Mutex<HashMap<[u8; 32], Instant>>,
}

impl Passwords {
    /// At most `at_once` checks run at a time.
    pub(super) fn new(at_once: usize) -> Self {
        let mut secret = [0; 32];
        rand::rng().fill_bytes(&mut secret);
        Self {
            slots: Arc::new(Semaphore::new(at_once.max(1))),
            queue: Arc::new(Semaphore::new(QUEUE)),
            key: hmac::Key::new(hmac::HMAC_SHA256, &secret),
            right: Mutex::default(),
        }
    }

    /// Whether this very pair was right a moment ago.
    pub(super) fn remembers(&self, hash: Option<&str>, password: &str) -> bool {
        let Some(hash) = hash else { return false };
        let right = self.right.lock().unwrap_or_else(PoisonError::into_inner);
        let found = right.get(&self.tag(hash, password));
        found.is_some_and(|since| since.elapsed() < REMEMBER)
    }

    /// Whether the password is the one of the hash. Without a hash the answer
    /// is no, and takes as long.
    pub(super) async fn check(&self, hash: Option<&str>, password: &str) -> Result<bool, Busy> {
        if self.remembers(hash, password) {
            return Ok(true);
        }
        if password.len() > MAX_BYTES {
            return Ok(false);
        }
        let _waiting = Arc::clone(&self.queue)
            .try_acquire_owned()
            .map_err(|_| Busy)?;
        let slot = Arc::clone(&self.slots)
            .acquire_owned()
            .await
            .map_err(|_| Busy)?;
        let against = hash.unwrap_or_else(|| nobodys()).to_owned();
        let said = password.to_owned();
        let checked = tokio::task::spawn_blocking(move || {
            let verified = verify(&against, &said);
            // Held to the end, also when nobody waits for it any more.
            drop(slot);
            verified
        });
        let is_right = checked.await.unwrap_or(false) && hash.is_some();
        if is_right {
            self.remember(self.tag(hash.unwrap_or_default(), password));
        }
        Ok(is_right)
    }

    fn remember(&self, tag: [u8; 32]) {
        let mut right = self.right.lock().unwrap_or_else(PoisonError::into_inner);
        if right.len() >= REMEMBERED {
            right.retain(|_, since| since.elapsed() < REMEMBER);
        }
        if right.len() < REMEMBERED {
            right.insert(tag, Instant::now());
        }
    }

    /// Another password or another hash is another tag.
    fn tag(&self, hash: &str, password: &str) -> [u8; 32] {
        let mut context = hmac::Context::with_key(&self.key);
        context.update(hash.as_bytes());
        context.update(&[0]);
        context.update(password.as_bytes());
        let mut tag = [0; 32];
        tag.copy_from_slice(context.sign().as_ref());
        tag
    }
}

/// What is stored of a password. Takes a while, so not on a thread that
/// answers requests.
pub(super) fn hash(password: &str) -> Result<String, argon2::password_hash::Error> {
    let mut salt = [0; 16];
    rand::rng().fill_bytes(&mut salt);
    let salt = SaltString::encode_b64(&salt)?;
    let hash = Argon2::default().hash_password(password.as_bytes(), &salt)?;
    Ok(hash.to_string())
}

fn verify(hash: &str, password: &str) -> bool {
    // The comparison at the end of either takes the same time wherever they
    // differ.
    if hash.starts_with("$2") {
        // Of a user who came from another registry's htpasswd.
        return bcrypt::verify(password, hash).unwrap_or(false);
    }
    PasswordHash::new(hash).is_ok_and(|hash| {
        Argon2::default()
            .verify_password(password.as_bytes(), &hash)
            .is_ok()
    })
}

/// The hash that those without one are checked against.
fn nobodys() -> &'static str {
    static HASH: OnceLock<String> = OnceLock::new();
    HASH.get_or_init(|| hash("nobody's").unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_right_password_is_right_and_remembered() {
        let passwords = Passwords::new(2);
        let hash = hash("secret").unwrap();
        assert!(hash.starts_with("$argon2id$"), "{hash}");
        assert_eq!(passwords.check(Some(&hash), "Secret").await, Ok(false));
        assert!(!passwords.remembers(Some(&hash), "secret"));
        assert_eq!(passwords.check(Some(&hash), "secret").await, Ok(true));
        assert!(passwords.remembers(Some(&hash), "secret"));
        assert!(!passwords.remembers(Some(&hash), "Secret"));
        let other = super::hash("secret").unwrap();
        assert!(!passwords.remembers(Some(&other), "secret"));
        assert_eq!(passwords.check(None, "nobody's").await, Ok(false));
        assert_eq!(passwords.check(Some("rubbish"), "").await, Ok(false));
        let long = "x".repeat(MAX_BYTES + 1);
        assert_eq!(passwords.check(Some(&hash), &long).await, Ok(false));
    }

    #[tokio::test]
    async fn a_hash_of_htpasswd_is_understood() {
        // htpasswd -nbB -C 4 alice wonderland
        let hash = bcrypt::hash("wonderland", 4).unwrap();
        let passwords = Passwords::new(1);
        assert_eq!(passwords.check(Some(&hash), "wonderland").await, Ok(true));
        assert_eq!(passwords.check(Some(&hash), "wonderlands").await, Ok(false));
    }

    #[tokio::test]
    async fn who_comes_when_too_many_wait_is_told() {
        let passwords = Passwords::new(1);
        let _all = passwords.slots.acquire().await.unwrap();
        let waiting = std::iter::repeat_with(|| passwords.check(None, "x")).take(QUEUE);
        let all = futures_util::future::join_all(waiting);
        let late = async {
            tokio::task::yield_now().await;
            passwords.check(None, "x").await
        };
        tokio::select! {
            _ = all => panic!("checked without a slot"),
            late = late => assert_eq!(late, Err(Busy)),
        }
    }
}
