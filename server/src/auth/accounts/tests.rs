//! Accounts on both databases: what was said is what is there, and what follows
//! from it for a caller.

use std::time::Duration;

use super::*;
use crate::auth::{Action, Auth, Caller, Effect, Presented, Refused, Scope};
use crate::config::{DatabaseConfig, Secret};
use crate::testing;

struct Registry {
    auth: Auth,
    /// Another process on the same database.
    replica: Auth,
    accounts: Accounts,
}

impl Registry {
    async fn on(config: &DatabaseConfig) -> Self {
        let db = Database::open(config).await.unwrap();
        let other = Database::open(config).await.unwrap();
        Self {
            auth: Auth::new(db.clone(), testing::auth_config()),
            replica: Auth::new(other, testing::auth_config()),
            accounts: Accounts::of_operator(db),
        }
    }

    async fn grant(&self, principal: &str, effect: Effect, actions: &str, pattern: &str) -> String {
        let principal = principal.parse().unwrap();
        let pattern = pattern.parse().unwrap();
        let what = (effect, actions.parse().unwrap());
        let granted = self.accounts.grant(&principal, what, &pattern).await;
        granted.unwrap()
    }

    async fn caller(&self, name: &str, secret: &str) -> Result<Caller, Refused> {
        self.auth.identify(&basic(name, secret), None).await
    }
}

fn basic(name: &str, secret: &str) -> Presented {
    Presented::Basic {
        name: name.to_owned(),
        secret: Secret::new(secret),
    }
}

fn bearer(token: &str) -> Presented {
    Presented::Bearer(Secret::new(token))
}

fn may(caller: &Caller, action: Action, name: &str) -> bool {
    caller.may(action, &name.parse().unwrap())
}

/// Waits until a process that was not asked to learns of a change.
async fn eventually<T, F: Future<Output = Option<T>>>(look: impl Fn() -> F) -> T {
    for _ in 0..100 {
        if let Some(found) = look().await {
            return found;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("it did not happen within five seconds");
}

#[tokio::test]
async fn on_sqlite() {
    let (config, _keep) = testing::sqlite();
    suite(&Registry::on(&config).await).await;
}

#[tokio::test]
async fn on_postgres() {
    let Some((config, _keep)) = testing::postgres() else {
        eprintln!("PostgreSQL is not installed here; not tested on it");
        return;
    };
    suite(&Registry::on(&config).await).await;
}

async fn suite(registry: &Registry) {
    is_open_until_the_first_account(registry).await;
    people_have_the_rights_of_their_groups(registry).await;
    passwords_end_what_they_began(registry).await;
    robots_do_what_their_tokens_say(registry).await;
    htpasswd_users_keep_their_passwords(registry).await;
    what_makes_no_sense_is_refused(registry).await;
    everything_is_on_record(registry).await;
}

async fn is_open_until_the_first_account(registry: &Registry) {
    assert!(registry.auth.is_without_accounts().await.unwrap());
    let caller = registry.auth.identify(&Presented::Nothing, None).await;
    assert!(may(&caller.unwrap(), Action::Delete, "any/thing"));
    registry
        .accounts
        .add_user("alice", Some("wonderland"))
        .await
        .unwrap();
    for auth in [&registry.auth, &registry.replica] {
        eventually(|| async {
            let caller = auth.identify(&Presented::Nothing, None).await.unwrap();
            (!may(&caller, Action::Pull, "any/thing")).then_some(())
        })
        .await;
        assert!(!auth.is_without_accounts().await.unwrap());
    }
}

async fn people_have_the_rights_of_their_groups(registry: &Registry) {
    let accounts = &registry.accounts;
    accounts.add_group("devs").await.unwrap();
    accounts.set_member("devs", "alice", true).await.unwrap();
    // Saying it twice is no mistake.
    accounts.set_member("devs", "alice", true).await.unwrap();
    registry
        .grant("group:devs", Effect::Allow, "pull,push", "team/**")
        .await;
    registry
        .grant("user:alice", Effect::Deny, "push", "team/frozen")
        .await;
    registry
        .grant("anonymous", Effect::Allow, "pull", "public/*")
        .await;
    let alice = eventually(|| async {
        let caller = registry.caller("alice", "wonderland").await.unwrap();
        may(&caller, Action::Pull, "public/x").then_some(caller)
    })
    .await;
    assert!(may(&alice, Action::Push, "team/a/b"));
    assert!(!may(&alice, Action::Push, "team/frozen"));
    assert!(may(&alice, Action::Pull, "team/frozen"));
    assert!(!may(&alice, Action::Delete, "team/a"));
    let nobody = registry
        .auth
        .identify(&Presented::Nothing, None)
        .await
        .unwrap();
    assert!(may(&nobody, Action::Pull, "public/x"));
    assert!(!may(&nobody, Action::Pull, "team/a"));
    let groups = accounts.groups().await.unwrap();
    assert_eq!(groups[0].members, ["alice"]);
    assert_eq!(accounts.accounts().await.unwrap()[0].groups, ["devs"]);
    accounts.set_member("devs", "alice", false).await.unwrap();
    eventually(|| async {
        let caller = registry.caller("alice", "wonderland").await.unwrap();
        (!may(&caller, Action::Push, "team/a/b")).then_some(())
    })
    .await;
    accounts.set_member("devs", "alice", true).await.unwrap();
}

async fn passwords_end_what_they_began(registry: &Registry) {
    let alice = registry.caller("alice", "wonderland").await.unwrap();
    let wrong = registry.caller("alice", "Wonderland").await.unwrap_err();
    let nobody = registry.caller("bob", "wonderland").await.unwrap_err();
    // Nobody learns which names there are.
    assert_eq!(wrong.to_string(), nobody.to_string());
    let refresh = registry.auth.issue_refresh(&alice).await.unwrap().unwrap();
    let scope = Scope::parse("repository:public/x:pull,push").unwrap();
    let issued = registry.auth.issue(&alice, &[scope]).await.unwrap();
    assert_eq!(issued.access[0].actions, ["pull"]);
    let token = bearer(&issued.token);
    // Another replica may not know the key yet that was just made.
    let caller = registry.replica.identify(&token, None).await.unwrap();
    assert_eq!(caller.name(), Some("alice"));
    assert!(may(&caller, Action::Pull, "public/x"));
    assert!(
        !may(&caller, Action::Pull, "public/y"),
        "the token is not for it"
    );
    let again = registry.replica.refreshed(&refresh).await.unwrap();
    assert!(may(&again, Action::Pull, "public/y"));
    let as_access = registry.auth.identify(&bearer(&refresh), None).await;
    assert!(matches!(as_access, Err(Refused::Token(_))), "{as_access:?}");
    registry.auth.refreshed(&issued.token).await.unwrap_err();
    registry
        .accounts
        .set_password("alice", "through the glass")
        .await
        .unwrap();
    for auth in [&registry.auth, &registry.replica] {
        eventually(|| async { auth.identify(&token, None).await.err() }).await;
        eventually(|| async { auth.refreshed(&refresh).await.err() }).await;
    }
    registry.caller("alice", "wonderland").await.unwrap_err();
    registry.caller("alice", "through the glass").await.unwrap();
    registry.accounts.set_disabled("alice", true).await.unwrap();
    eventually(|| async {
        let refused = registry.caller("alice", "through the glass").await.err()?;
        assert!(refused.to_string().contains("disabled"), "{refused}");
        Some(())
    })
    .await;
    registry
        .accounts
        .set_disabled("alice", false)
        .await
        .unwrap();
}

async fn robots_do_what_their_tokens_say(registry: &Registry) {
    let accounts = &registry.accounts;
    accounts.add_robot("ci").await.unwrap();
    registry
        .grant("robot:ci", Effect::Allow, "pull,push", "ci/*")
        .await;
    let limits = ["repository:ci/app:push".parse().unwrap()];
    let made = accounts
        .make_token("ci", "nightly", &limits, None)
        .await
        .unwrap();
    assert!(made.secret.starts_with("hythe_"), "{}", made.secret);
    let ci = eventually(|| async { registry.caller("ci", &made.secret).await.ok() }).await;
    assert!(may(&ci, Action::Push, "ci/app"));
    assert!(
        !may(&ci, Action::Push, "ci/other"),
        "the token is not for it"
    );
    assert!(!may(&ci, Action::Pull, "ci/app"), "nor for that");
    assert!(!may(&ci, Action::Push, "team/a"), "the robot may not");
    registry.caller("alice", &made.secret).await.unwrap_err();
    let listed = accounts.tokens(Some("ci")).await.unwrap();
    assert_eq!(listed[0].scopes, ["repository:ci/app:push"]);
    assert!(!format!("{listed:?}").contains(&made.secret));
    let issued = registry
        .replica
        .issue(&ci, &[Scope::parse("repository:ci/app:pull,push").unwrap()])
        .await
        .unwrap();
    assert_eq!(issued.access[0].actions, ["push"]);
    registry
        .replica
        .identify(&bearer(&issued.token), None)
        .await
        .unwrap();
    accounts.revoke_token(&made.id).await.unwrap();
    accounts.revoke_token(&made.id).await.unwrap_err();
    for auth in [&registry.auth, &registry.replica] {
        for shown in [bearer(&issued.token), basic("ci", &made.secret)] {
            eventually(|| async {
                let refused = auth.identify(&shown, None).await.err()?;
                assert!(refused.to_string().contains("revoked"), "{refused}");
                Some(())
            })
            .await;
        }
    }
    let short = accounts
        .make_token("ci", "short", &[], Some(Duration::ZERO))
        .await
        .unwrap();
    eventually(|| async {
        let refused = registry.caller("ci", &short.secret).await.err()?;
        refused.to_string().contains("expired").then_some(())
    })
    .await;
    accounts.remove_account("ci").await.unwrap();
    assert!(accounts.tokens(None).await.unwrap().is_empty());
}

async fn htpasswd_users_keep_their_passwords(registry: &Registry) {
    let file = format!(
        "# ours\ncarol:{}\ndave:$apr1$x$y\nalice:{}\nrubbish\n",
        bcrypt::hash("looking glass", 4).unwrap(),
        bcrypt::hash("another", 4).unwrap(),
    );
    let imported = registry.accounts.import_htpasswd(&file).await.unwrap();
    assert_eq!(imported.added, ["carol"]);
    assert_eq!(imported.skipped.len(), 3, "{imported:?}");
    eventually(|| async { registry.caller("carol", "looking glass").await.ok() }).await;
}

async fn what_makes_no_sense_is_refused(registry: &Registry) {
    let accounts = &registry.accounts;
    let error = accounts
        .add_user("alice", Some("wonderland"))
        .await
        .unwrap_err();
    assert_eq!(
        error.to_string(),
        "there is already a user or robot \"alice\""
    );
    for name in ["", "a:b", "(x)", "-a", "a b", &"x".repeat(65)] {
        accounts.add_user(name, None).await.unwrap_err();
        accounts.add_group(name).await.unwrap_err();
    }
    accounts
        .add_user("short", Some("1234567"))
        .await
        .unwrap_err();
    accounts.remove_account("short").await.unwrap_err();
    accounts.add_group("devs").await.unwrap_err();
    accounts
        .make_token("nobody", "", &[], None)
        .await
        .unwrap_err();
    for principal in ["alice", "user", "team:x", "Anonymous"] {
        assert!(principal.parse::<Principal>().is_err(), "{principal}");
    }
    let robot = "robot:alice".parse().unwrap();
    let (pull, everywhere) = ("pull".parse().unwrap(), "**".parse().unwrap());
    let error = accounts
        .grant(&robot, (Effect::Allow, pull), &everywhere)
        .await;
    assert_eq!(
        error.unwrap_err().to_string(),
        "there is no robot \"alice\""
    );
    accounts.remove_grant("x").await.unwrap_err();
    let id = registry
        .grant("user:alice", Effect::Allow, "admin", "**")
        .await;
    assert!(
        accounts
            .grants()
            .await
            .unwrap()
            .iter()
            .any(|grant| grant.id == id)
    );
    accounts.remove_grant(&id).await.unwrap();
    for (issuer, subject, audience) in [
        ("http://ci.example.com", "x", "y"),
        ("nonsense", "x", "y"),
        ("https://ci.example.com", "*", "y"),
        ("https://ci.example.com", "x", ""),
    ] {
        let added = accounts.add_identity("alice", issuer, (subject, audience));
        added.await.unwrap_err();
    }
}

async fn everything_is_on_record(registry: &Registry) {
    let records = registry.accounts.audit(None, 1000).await.unwrap();
    let has = |action: &str, subject: &str| {
        records
            .iter()
            .any(|record| record.action == action && record.subject == subject)
    };
    assert!(has("add user", "alice") && has("set password", "alice"));
    assert!(
        has("grant", "allow pull,push on ci/* to robot:ci"),
        "{records:?}"
    );
    let text = serde_json::to_string(&records).unwrap();
    assert!(
        !text.contains("wonderland") && !text.contains("hythe_"),
        "{text}"
    );
    let newest = registry.accounts.audit(None, 1).await.unwrap();
    let next = registry
        .accounts
        .audit(Some(&newest[0].id), 1)
        .await
        .unwrap();
    assert_eq!(next[0], records[1]);
}
