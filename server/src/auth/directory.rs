//! Who there is and who may do what, in memory.
//!
//! Every request is answered from a snapshot that is at most a second old: one
//! row of the database says whether there is a newer one. So what is revoked
//! anywhere is revoked in every process within two seconds, and a pull costs no
//! statement.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, Instant};

use tokio::sync::Mutex;

use super::keys::Keys;
use super::rights::{Effect, Rights, Rule};
use super::scope::Limit;
use crate::db::{
    AccountRecord, ApiTokenRecord, Database, DbError, DirectoryRecord, GrantRecord, GroupRecord,
    IdentityRecord,
};

/// For how long a snapshot is good without asking.
const FRESH: Duration = Duration::from_secs(1);
/// For how long it is good while somebody else asks.
const BEING_READ: Duration = Duration::from_secs(3);

/// The directory as it was at one time.
#[derive(Debug)]
pub(super) struct Snapshot {
    record: DirectoryRecord,
    accounts_by_name: HashMap<String, usize>,
    accounts_by_id: HashMap<String, usize>,
    tokens_by_hash: HashMap<String, usize>,
    tokens_by_id: HashMap<String, usize>,
    rights: HashMap<String, Arc<Rights>>,
    anonymous: Arc<Rights>,
    pub(super) keys: Keys,
}

impl Snapshot {
    pub(super) fn of(record: DirectoryRecord) -> Result<Self, DbError> {
        let index = |ids: Vec<&str>| -> HashMap<String, usize> {
            let ids = ids.into_iter().enumerate();
            ids.map(|(at, id)| (id.to_owned(), at)).collect()
        };
        let accounts = &record.accounts;
        let tokens = &record.tokens;
        Ok(Self {
            accounts_by_name: index(accounts.iter().map(|one| one.name.as_str()).collect()),
            accounts_by_id: index(accounts.iter().map(|one| one.id.as_str()).collect()),
            tokens_by_hash: index(tokens.iter().map(|one| one.secret_hash.as_str()).collect()),
            tokens_by_id: index(tokens.iter().map(|one| one.id.as_str()).collect()),
            rights: rights(&record)?,
            anonymous: Arc::new(Rights::new(anonymous_rules(&record)?)),
            keys: Keys::read(&record.keys)?,
            record,
        })
    }

    /// Whether who has no right may do nothing.
    pub(super) fn is_closed(&self) -> bool {
        self.record.closed
    }

    pub(super) fn account_named(&self, name: &str) -> Option<&AccountRecord> {
        let at = self.accounts_by_name.get(name)?;
        self.record.accounts.get(*at)
    }

    pub(super) fn account(&self, id: &str) -> Option<&AccountRecord> {
        let at = self.accounts_by_id.get(id)?;
        self.record.accounts.get(*at)
    }

    pub(super) fn token_of_hash(&self, hash: &str) -> Option<&ApiTokenRecord> {
        let at = self.tokens_by_hash.get(hash)?;
        self.record.tokens.get(*at)
    }

    pub(super) fn token(&self, id: &str) -> Option<&ApiTokenRecord> {
        let at = self.tokens_by_id.get(id)?;
        self.record.tokens.get(*at)
    }

    pub(super) fn rights_of(&self, account: &str) -> Arc<Rights> {
        self.rights.get(account).cloned().unwrap_or_default()
    }

    pub(super) fn anonymous_rights(&self) -> Arc<Rights> {
        Arc::clone(&self.anonymous)
    }

    pub(super) fn identities(&self) -> &[IdentityRecord] {
        &self.record.identities
    }

    pub(super) fn accounts(&self) -> &[AccountRecord] {
        &self.record.accounts
    }

    pub(super) fn groups(&self) -> &[GroupRecord] {
        &self.record.groups
    }

    pub(super) fn tokens(&self) -> &[ApiTokenRecord] {
        &self.record.tokens
    }

    pub(super) fn grants(&self) -> &[GrantRecord] {
        &self.record.grants
    }

    /// Of a group's id and an account's.
    pub(super) fn members(&self) -> &[(String, String)] {
        &self.record.members
    }
}

/// What a token is limited to; `None` for nothing.
pub(super) fn limits_of(token: &ApiTokenRecord) -> Result<Option<Vec<Limit>>, DbError> {
    if token.scopes.is_empty() {
        return Ok(None);
    }
    let limits = token.scopes.split(' ').map(|text| {
        text.parse().map_err(|_| DbError::Corrupt {
            what: "the scope of a token",
            value: text.to_owned(),
        })
    });
    limits.collect::<Result<_, _>>().map(Some)
}

/// A grant that cannot be read may be one that denies, so it is not left out.
pub(super) fn rule(grant: &GrantRecord) -> Result<Rule, DbError> {
    let corrupt = |what, value: &str| DbError::Corrupt {
        what,
        value: value.to_owned(),
    };
    Ok(Rule {
        effect: if grant.effect == "deny" {
            Effect::Deny
        } else {
            Effect::Allow
        },
        actions: grant
            .actions
            .parse()
            .map_err(|_| corrupt("the actions of a grant", &grant.actions))?,
        pattern: grant
            .pattern
            .parse()
            .map_err(|_| corrupt("the pattern of a grant", &grant.pattern))?,
    })
}

fn is_for_everybody(grant: &GrantRecord) -> bool {
    grant.account_id.is_none() && grant.group_id.is_none()
}

fn anonymous_rules(record: &DirectoryRecord) -> Result<Vec<Rule>, DbError> {
    let grants = record.grants.iter();
    grants
        .filter(|one| is_for_everybody(one))
        .map(rule)
        .collect()
}

/// The rules of every account: its own, those of its groups, and what everybody
/// is allowed. What is denied to those without an account is denied to them.
fn rights(record: &DirectoryRecord) -> Result<HashMap<String, Arc<Rights>>, DbError> {
    let mut everybody = anonymous_rules(record)?;
    everybody.retain(|rule| rule.effect == Effect::Allow);
    let mut own: HashMap<&str, Vec<Rule>> = HashMap::new();
    let mut of_group: HashMap<&str, Vec<Rule>> = HashMap::new();
    for grant in &record.grants {
        if let Some(account) = &grant.account_id {
            own.entry(account).or_default().push(rule(grant)?);
        } else if let Some(group) = &grant.group_id {
            of_group.entry(group).or_default().push(rule(grant)?);
        }
    }
    for (group, account) in &record.members {
        if let Some(rules) = of_group.get(group.as_str()) {
            own.entry(account).or_default().extend_from_slice(rules);
        }
    }
    let accounts = record.accounts.iter().map(|account| {
        let mut rules = own.remove(account.id.as_str()).unwrap_or_default();
        rules.extend_from_slice(&everybody);
        (account.id.clone(), Arc::new(Rights::new(rules)))
    });
    Ok(accounts.collect())
}

/// The newest snapshot, read again when it is not.
#[derive(Debug)]
pub(super) struct Directory {
    db: Database,
    kept: RwLock<Option<(Arc<Snapshot>, Instant)>>,
    reading: Mutex<()>,
}

impl Directory {
    pub(super) fn new(db: Database) -> Self {
        Self {
            db,
            kept: RwLock::default(),
            reading: Mutex::default(),
        }
    }

    pub(super) fn database(&self) -> &Database {
        &self.db
    }

    /// The directory as it was a moment ago.
    pub(super) async fn current(&self) -> Result<Arc<Snapshot>, DbError> {
        if let Some(snapshot) = self.younger_than(FRESH) {
            return Ok(snapshot);
        }
        let turn = match self.reading.try_lock() {
            Ok(turn) => turn,
            Err(_) => match self.younger_than(BEING_READ) {
                Some(snapshot) => return Ok(snapshot),
                None => self.reading.lock().await,
            },
        };
        if let Some(snapshot) = self.younger_than(FRESH) {
            return Ok(snapshot);
        }
        let asked = Instant::now();
        let known = self.kept().map(|(snapshot, _)| snapshot);
        let generation = self.db.directory_generation().await?;
        let snapshot = match known {
            Some(snapshot) if snapshot.record.generation == generation => snapshot,
            _ => Arc::new(Snapshot::of(self.db.directory().await?)?),
        };
        self.keep(&snapshot, asked);
        drop(turn);
        Ok(snapshot)
    }

    /// The directory as it is now: for whoever just changed it, and for those
    /// that show what another process may have just made.
    pub(super) async fn newest(&self) -> Result<Arc<Snapshot>, DbError> {
        let _turn = self.reading.lock().await;
        let asked = Instant::now();
        let snapshot = Arc::new(Snapshot::of(self.db.directory().await?)?);
        self.keep(&snapshot, asked);
        Ok(snapshot)
    }

    /// The directory as it is now, read only if it is another one than `known`.
    pub(super) async fn current_generation(
        &self,
        known: &Arc<Snapshot>,
    ) -> Result<Arc<Snapshot>, DbError> {
        if self.db.directory_generation().await? == known.record.generation {
            return Ok(Arc::clone(known));
        }
        self.newest().await
    }

    fn kept(&self) -> Option<(Arc<Snapshot>, Instant)> {
        let kept = self.kept.read().unwrap_or_else(PoisonError::into_inner);
        kept.clone()
    }

    fn younger_than(&self, age: Duration) -> Option<Arc<Snapshot>> {
        let (snapshot, read) = self.kept()?;
        (read.elapsed() < age).then_some(snapshot)
    }

    fn keep(&self, snapshot: &Arc<Snapshot>, read: Instant) {
        let mut kept = self.kept.write().unwrap_or_else(PoisonError::into_inner);
        *kept = Some((Arc::clone(snapshot), read));
    }
}
