//! Which migrations were applied, read without applying any.

use std::collections::BTreeMap;

use sqlx::migrate::Migrator;
use sqlx::{AnyPool, Row as _};

use super::{DbError, Kind};

/// The database's schema beside the one that this program knows.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Schema {
    /// Whether the registry's tables exist at all.
    pub(crate) holds_rows: bool,
    /// Not applied yet: number and title, in order.
    pub(crate) pending: Vec<(i64, String)>,
    /// Applied from a file that was another one than ours.
    pub(crate) changed: Vec<i64>,
    /// Applied by a newer program.
    pub(crate) unknown: Vec<i64>,
}

impl Schema {
    pub(super) async fn read(
        kind: Kind,
        pool: &AnyPool,
        migrator: &Migrator,
    ) -> Result<Self, DbError> {
        let applied = applied(kind, pool).await?;
        let mut schema = Self {
            holds_rows: !applied.is_empty(),
            ..Self::default()
        };
        for migration in migrator.iter() {
            match applied.get(&migration.version) {
                None => {
                    let title = migration.description.to_string();
                    schema.pending.push((migration.version, title));
                }
                Some(checksum) if checksum.as_slice() != migration.checksum.as_ref() => {
                    schema.changed.push(migration.version);
                }
                Some(_) => {}
            }
        }
        let unknown = applied.into_keys();
        schema.unknown = unknown
            .filter(|version| !migrator.version_exists(*version))
            .collect();
        Ok(schema)
    }
}

/// Number and checksum of what was applied. The table is the migrator's; it
/// makes it at its first run.
async fn applied(kind: Kind, pool: &AnyPool) -> Result<BTreeMap<i64, Vec<u8>>, DbError> {
    let table = match kind {
        Kind::Sqlite => "SELECT name FROM sqlite_master WHERE name = '_sqlx_migrations'",
        Kind::Postgres => {
            "SELECT table_name::text AS name FROM information_schema.tables
             WHERE table_name = '_sqlx_migrations' AND table_schema = current_schema()"
        }
    };
    if sqlx::query(table).fetch_optional(pool).await?.is_none() {
        return Ok(BTreeMap::new());
    }
    let rows = sqlx::query("SELECT version, checksum FROM _sqlx_migrations")
        .fetch_all(pool)
        .await?;
    rows.iter()
        .map(|row| Ok((row.try_get("version")?, row.try_get("checksum")?)))
        .collect()
}

#[cfg(test)]
mod tests {
    use sqlx::Executor as _;

    use super::super::Database;
    use crate::config::DatabaseConfig;
    use crate::testing;

    async fn reads_and_applies_nothing(config: &DatabaseConfig) {
        let database = Database::open(config).await.unwrap();
        let (_, whole) = Database::look(config).await.unwrap().unwrap();
        assert!(whole.holds_rows);
        assert_eq!(whole.pending, []);
        let statement = match database.kind {
            super::Kind::Postgres => "UPDATE _sqlx_migrations SET checksum = '' WHERE version = 1",
            super::Kind::Sqlite => "UPDATE _sqlx_migrations SET checksum = x'' WHERE version = 1",
        };
        let spoil = sqlx::raw_sql(statement);
        database.readers.execute(spoil).await.unwrap();
        for _ in 0..2 {
            let (_, schema) = Database::look(config).await.unwrap().unwrap();
            assert_eq!(schema.changed, [1]);
            assert!(schema.holds_rows);
        }
    }

    #[tokio::test]
    async fn on_sqlite() {
        let (config, _keep) = testing::sqlite();
        assert!(Database::look(&config).await.unwrap().is_none());
        reads_and_applies_nothing(&config).await;
    }

    #[tokio::test]
    async fn on_postgres() {
        let Some((config, _keep)) = testing::postgres() else {
            eprintln!("PostgreSQL is not installed here; not tested on it");
            return;
        };
        let (_, empty) = Database::look(&config).await.unwrap().unwrap();
        assert!(!empty.holds_rows);
        assert_eq!(empty.pending[0].0, 1);
        reads_and_applies_nothing(&config).await;
    }
}
