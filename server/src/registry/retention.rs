//! Which tags are kept, and why; the others are removed.
//!
//! The first rule that means a tag decides. It is kept if one of the rule's
//! reasons holds, and always when it is immutable.

use std::collections::HashMap;

use hythe_oci::{Digest, RepositoryName, Tag};
use serde::Serialize;

use super::gc::before;
use super::policies::terms;
use super::{Registry, RegistryError};
use crate::config::{Policies, Retention};
use crate::db::TagAge;

/// Who is said to have removed them.
const RETENTION: &str = "retention";

/// What becomes of one tag, and why.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct TagDecision {
    /// Where.
    pub repository: RepositoryName,
    /// Which.
    pub tag: Tag,
    /// What it names.
    pub digest: Digest,
    /// Whether it goes.
    pub remove: bool,
    /// For people.
    pub why: String,
}

impl Registry {
    /// What the rules say of every tag that one of them means.
    pub(crate) async fn decide_tags(&self) -> Result<Vec<TagDecision>, RegistryError> {
        let policies = self.policies().await?;
        let mut decisions = Vec::new();
        for repository in self.retained_repositories(&policies).await? {
            let tags = self.db.tag_ages(&repository).await?;
            let decided = decide(&policies, &repository, tags);
            decisions.extend(decided.into_iter().map(|(_, decision)| decision));
        }
        Ok(decisions)
    }

    /// Removes the tags that nothing keeps; how many.
    pub(crate) async fn expire_tags(&self) -> Result<u64, RegistryError> {
        let policies = self.policies().await?;
        let mut removed = 0;
        for repository in self.retained_repositories(&policies).await? {
            let tags = self.db.tag_ages(&repository).await?;
            for (tag, decision) in decide(&policies, &repository, tags) {
                if decision.remove {
                    let by = terms(&policies, RETENTION);
                    // One that moved in between is another one now.
                    let expired = self.db.expire_tag(&repository, &tag, by).await?;
                    removed += u64::from(expired);
                }
            }
        }
        Ok(removed)
    }

    async fn retained_repositories(
        &self,
        policies: &Policies,
    ) -> Result<Vec<RepositoryName>, RegistryError> {
        if policies.retention.is_empty() {
            return Ok(Vec::new());
        }
        let mut names = self.all_repositories().await?;
        names.retain(|name| {
            let mut rules = policies.retention.iter();
            rules.any(|rule| rule.repositories.matches(name))
        });
        Ok(names)
    }
}

/// `tags` are those of the repository, the one pushed last first.
fn decide(
    policies: &Policies,
    repository: &RepositoryName,
    tags: Vec<TagAge>,
) -> Vec<(TagAge, TagDecision)> {
    let rules: Vec<(usize, &Retention)> = policies
        .retention
        .iter()
        .enumerate()
        .filter(|(_, rule)| rule.repositories.matches(repository))
        .collect();
    let mut met: HashMap<usize, u32> = HashMap::new();
    let mut decided = Vec::new();
    for tag in tags {
        let mut meant = rules
            .iter()
            .filter(|(_, rule)| rule.tags.matches(&tag.name));
        let Some((number, rule)) = meant.next() else {
            continue;
        };
        let place = met.entry(*number).or_default();
        *place += 1;
        let kept = if policies.is_immutable(repository, &tag.name) {
            Some("it is immutable".to_owned())
        } else {
            reason_to_keep(rule, *place, &tag)
        };
        let decision = TagDecision {
            repository: repository.clone(),
            tag: tag.name.clone(),
            digest: tag.digest.clone(),
            remove: kept.is_none(),
            why: kept.unwrap_or_else(|| reason_to_remove(rule, *place, &tag)),
        };
        decided.push((tag, decision));
    }
    decided
}

/// `place` counts the tags that the rule means, the newest is 1.
fn reason_to_keep(rule: &Retention, place: u32, tag: &TagAge) -> Option<String> {
    if let Some(n) = rule.keep_last
        && place <= n
    {
        return Some(format!("number {place} of the last {n} of {}", rule.tags));
    }
    let within = |seconds: Option<u64>, at: Option<i64>| {
        let seconds = seconds?;
        let since = before(std::time::Duration::from_secs(seconds));
        at.filter(|at| *at >= since).map(|_| seconds)
    };
    if let Some(seconds) = within(rule.keep_pushed_seconds, Some(tag.pushed_at)) {
        return Some(format!("pushed within {seconds} seconds"));
    }
    let seconds = within(rule.keep_pulled_seconds, tag.last_pulled_at)?;
    Some(format!("pulled within {seconds} seconds"))
}

fn reason_to_remove(rule: &Retention, place: u32, tag: &TagAge) -> String {
    let mut reasons = Vec::new();
    if let Some(n) = rule.keep_last {
        reasons.push(format!("number {place} of {}, {n} are kept", rule.tags));
    }
    let time = |at_ms| jiff::Timestamp::from_millisecond(at_ms).unwrap_or_default();
    if let Some(seconds) = rule.keep_pushed_seconds {
        let at = time(tag.pushed_at);
        reasons.push(format!("pushed at {at}, not within {seconds} seconds"));
    }
    if let Some(seconds) = rule.keep_pulled_seconds {
        reasons.push(match tag.last_pulled_at {
            Some(at) => format!("pulled at {}, not within {seconds} seconds", time(at)),
            None => "never pulled".to_owned(),
        });
    }
    reasons.join("; ")
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY_MS: i64 = 24 * 3600 * 1000;

    /// Tags as `name pushed pulled`, in days ago; the newest first.
    fn tags(each: &[(&str, i64, Option<i64>)]) -> Vec<TagAge> {
        let now = jiff::Timestamp::now().as_millisecond();
        let each = each.iter().map(|(name, pushed, pulled)| TagAge {
            name: name.parse().unwrap(),
            digest: Digest::of(name.as_bytes()),
            pushed_at: now - pushed * DAY_MS,
            last_pulled_at: pulled.map(|days| now - days * DAY_MS),
        });
        each.collect()
    }

    fn removed(rules: &str, immutable: &str, in_repository: &str) -> String {
        let policies = Policies {
            retention: serde_json::from_str(rules).unwrap(),
            immutable_tags: serde_json::from_str(immutable).unwrap(),
            quotas: Vec::new(),
        };
        let tags = tags(&[
            ("pr-9", 0, None),
            ("v3", 1, Some(0)),
            ("pr-8", 2, Some(1)),
            ("v2", 10, Some(9)),
            ("pr-7", 20, Some(3)),
            ("v1", 100, None),
        ]);
        let decided = decide(&policies, &in_repository.parse().unwrap(), tags);
        let removed = decided.iter().filter(|(_, decision)| decision.remove);
        let removed = removed.map(|(tag, _)| tag.name.as_str());
        removed.collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn each_reason_keeps_what_it_says() {
        let days = |days: u64| days * 24 * 3600;
        let (week, month) = (days(7), days(30));
        for (rules, expected) in [
            (
                r#"{"repositories": "**", "keep_last": 2}"#.to_owned(),
                "pr-8 v2 pr-7 v1",
            ),
            (
                r#"{"repositories": "**", "tags": "pr-*", "keep_last": 1}"#.to_owned(),
                "pr-8 pr-7",
            ),
            (
                r#"{"repositories": "**", "keep_last": 0}"#.to_owned(),
                "pr-9 v3 pr-8 v2 pr-7 v1",
            ),
            (
                format!(r#"{{"repositories": "**", "keep_pushed_seconds": {week}}}"#),
                "v2 pr-7 v1",
            ),
            (
                format!(r#"{{"repositories": "**", "keep_pulled_seconds": {week}}}"#),
                "pr-9 v2 v1",
            ),
            (
                format!(
                    r#"{{"repositories": "a/*", "keep_last": 1, "keep_pulled_seconds": {week}}}"#
                ),
                "v2 v1",
            ),
            // The first rule that means a tag decides; each counts for itself.
            (
                format!(
                    r#"{{"repositories": "**", "tags": "v*", "keep_last": 1}},
                       {{"repositories": "**", "keep_pushed_seconds": {month}}}"#
                ),
                "v2 v1",
            ),
            (
                r#"{"repositories": "other/**", "keep_last": 0}"#.to_owned(),
                "",
            ),
        ] {
            assert_eq!(
                removed(&format!("[{rules}]"), "[]", "a/b"),
                expected,
                "{rules}"
            );
        }
    }

    #[test]
    fn an_immutable_tag_stays() {
        let rules = r#"[{"repositories": "**", "keep_last": 0}]"#;
        let immutable = r#"[{"repositories": "a/**", "tags": "v*"}]"#;
        assert_eq!(removed(rules, immutable, "a/b"), "pr-9 pr-8 pr-7");
        assert_eq!(removed(rules, immutable, "b/a"), "pr-9 v3 pr-8 v2 pr-7 v1");
    }

    #[test]
    fn a_rule_that_keeps_nothing_is_none() {
        let rules = r#"[{"repositories": "**"}]"#;
        assert!(serde_json::from_str::<Vec<Retention>>(rules).is_err());
    }
}
