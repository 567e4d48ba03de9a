//! How often somebody may do something: a bucket for each that fills up again.

use std::collections::HashMap;
use std::hash::Hash;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// How many are kept account of; beyond, those that are full are forgotten.
const KEPT: usize = 100_000;

/// Buckets by key.
#[derive(Debug)]
pub(crate) struct Throttle<K = Network> {
    /// Of a bucket; zero is no limit.
    capacity: f64,
    per_second: f64,
    buckets: Mutex<HashMap<K, Bucket>>,
}

#[derive(Clone, Copy, Debug)]
struct Bucket {
    left: f64,
    at: Instant,
}

/// Somebody came too often.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct TooOften {
    /// When to come again.
    pub(crate) retry_after: Duration,
}

impl<K: Eq + Hash> Throttle<K> {
    /// So many in a minute, all of them at once if need be; 0 is no limit.
    pub(crate) fn new(per_minute: u32) -> Self {
        Self {
            capacity: f64::from(per_minute),
            per_second: f64::from(per_minute) / 60.0,
            buckets: Mutex::default(),
        }
    }

    /// Takes one out of the bucket, if there is one.
    pub(crate) fn take(&self, key: K) -> Result<(), TooOften> {
        self.at(key, Instant::now(), 1.0)
    }

    /// Whether there is one in the bucket.
    pub(crate) fn check(&self, key: K) -> Result<(), TooOften> {
        self.at(key, Instant::now(), 0.0)
    }

    fn at(&self, key: K, now: Instant, taken: f64) -> Result<(), TooOften> {
        if self.capacity == 0.0 {
            return Ok(());
        }
        let mut buckets = self.buckets.lock().unwrap_or_else(PoisonError::into_inner);
        if buckets.len() >= KEPT && !buckets.contains_key(&key) {
            buckets.retain(|_, bucket| self.filled(*bucket, now) < self.capacity);
            if buckets.len() >= KEPT {
                // That many at once are a flood, and one more is part of it.
                return Err(self.until(1.0));
            }
        }
        let full = Bucket {
            left: self.capacity,
            at: now,
        };
        let left = self.filled(buckets.get(&key).copied().unwrap_or(full), now);
        if left < 1.0 {
            return Err(self.until(1.0 - left));
        }
        let left = left - taken;
        if left < self.capacity {
            buckets.insert(key, Bucket { left, at: now });
        } else {
            buckets.remove(&key);
        }
        Ok(())
    }

    fn filled(&self, bucket: Bucket, now: Instant) -> f64 {
        let passed = now.saturating_duration_since(bucket.at).as_secs_f64();
        (bucket.left + passed * self.per_second).min(self.capacity)
    }

    fn until(&self, missing: f64) -> TooOften {
        TooOften {
            retry_after: Duration::from_secs_f64((missing / self.per_second).max(1.0)),
        }
    }
}

/// Addresses that one party has at its will: one of IPv4, a /64 of IPv6.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Network(IpAddr);

impl From<IpAddr> for Network {
    fn from(address: IpAddr) -> Self {
        Self(match address.to_canonical() {
            IpAddr::V6(v6) => {
                let [a, b, c, d, ..] = v6.segments();
                IpAddr::V6(Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0))
            }
            v4 @ IpAddr::V4(_) => v4,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bucket_empties_and_fills_again() {
        let throttle = Throttle::new(60);
        let start = Instant::now();
        for _ in 0..60 {
            throttle.at("a", start, 1.0).unwrap();
        }
        let refused = throttle.at("a", start, 1.0).unwrap_err();
        assert_eq!(refused.retry_after, Duration::from_secs(1));
        assert!(throttle.at("a", start, 0.0).is_err());
        throttle.at("b", start, 1.0).unwrap();
        let later = start + Duration::from_millis(1500);
        throttle.at("a", later, 1.0).unwrap();
        assert!(throttle.at("a", later, 1.0).is_err());
        let none = Throttle::new(0);
        for _ in 0..1000 {
            none.take("a").unwrap();
        }
    }

    #[test]
    fn a_network_is_what_one_party_has() {
        let network = |text: &str| Network::from(text.parse::<IpAddr>().unwrap());
        assert_eq!(network("2001:db8::1"), network("2001:db8::ffff:1"));
        assert_ne!(network("2001:db8::1"), network("2001:db8:0:1::1"));
        assert_eq!(network("::ffff:192.0.2.1"), network("192.0.2.1"));
        assert_ne!(network("192.0.2.1"), network("192.0.2.2"));
    }
}
