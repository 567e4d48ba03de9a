//! First pages stay cheap however much there is: the statements behind them are
//! answered from an index, in order, on both databases. About plans, not times.

use sqlx::{AssertSqlSafe, Executor as _, Row as _};

use super::{Database, Kind, facts, history, manifests, repositories, tags};
use crate::config::DatabaseConfig;
use crate::testing;

/// Enough that no planner would rather read a whole table.
const FILL: [&str; 7] = [
    "INSERT INTO repositories (name, created_at)
     WITH RECURSIVE n (i) AS (SELECT 100001 UNION ALL SELECT i + 1 FROM n WHERE i < 120000)
     SELECT 'repo/' || i, 0 FROM n",
    "INSERT INTO manifests (repository_id, digest, media_type, size_bytes, content, pushed_at)
     SELECT id, 'sha256:0', '', 0, '', 0 FROM repositories",
    "INSERT INTO manifest_facts (repository_id, digest, platform, content_bytes, description,
                                 labels, pushed_by)
     SELECT id, 'sha256:0', '', 0, '', '', '' FROM repositories",
    "INSERT INTO tags (repository_id, name, digest, updated_at)
     WITH RECURSIVE n (i) AS (SELECT 100001 UNION ALL SELECT i + 1 FROM n WHERE i < 120000)
     SELECT (SELECT MIN(id) FROM repositories), 'tag' || i, 'sha256:0', i FROM n",
    "INSERT INTO tags (repository_id, name, digest, updated_at)
     SELECT id, 'one', 'sha256:0', 0 FROM repositories",
    "INSERT INTO tag_history (repository_id, tag, reason, moved_by, moved_at)
     SELECT repository_id, name, 'push', '', 0 FROM tags",
    "ANALYZE",
];

/// Statements, with what their parameters might be.
const PAGES: [(&str, &str, &[&str]); 8] = [
    ("tags", tags::LIST, &["'repo/100001'", "''", "101"]),
    (
        "tags, later",
        tags::LIST,
        &["'repo/100001'", "'tag110000'", "101"],
    ),
    ("repositories", repositories::LIST, &["''", "101"]),
    ("tags with facts", facts::TAGS, &["1", "''", "101"]),
    (
        "repositories with facts",
        facts::REPOSITORIES,
        &["'repo/110000'", "101"],
    ),
    (
        "a manifest by tag",
        manifests::BY_TAG,
        &["'repo/100001'", "'tag110000'"],
    ),
    ("the newest tag", super::search::NEWEST, &["1"]),
    (
        "moves",
        history::MOVES,
        &["'repo/100001'", "'tag110000'", "99999999", "101"],
    ),
];

async fn plan(database: &Database, statement: &str, values: &[&str]) -> String {
    let mut statement = statement.to_owned();
    for (number, value) in values.iter().enumerate() {
        statement = statement.replace(&format!("${}", number + 1), value);
    }
    let (explain, column) = match database.kind {
        Kind::Sqlite => ("EXPLAIN QUERY PLAN", "detail"),
        Kind::Postgres => ("EXPLAIN", "QUERY PLAN"),
    };
    let statement = AssertSqlSafe(format!("{explain} {statement}"));
    let rows = sqlx::query(statement).fetch_all(&database.readers).await;
    let rows = rows.unwrap();
    let lines = rows.iter().map(|row| row.get::<String, _>(column));
    lines.collect::<Vec<_>>().join("\n")
}

async fn pages_come_from_indexes(config: &DatabaseConfig) {
    let database = Database::open(config).await.unwrap();
    for statement in FILL {
        let filling = sqlx::raw_sql(statement);
        database.readers.execute(filling).await.unwrap();
    }
    let slow: &[&str] = match database.kind {
        Kind::Sqlite => &["SCAN", "TEMP B-TREE"],
        Kind::Postgres => &["Seq Scan", "Sort"],
    };
    for (what, statement, values) in PAGES {
        let plan = plan(&database, statement, values).await;
        let found = slow.iter().find(|word| plan.contains(**word));
        assert_eq!(found, None, "{what}:\n{plan}");
    }
}

#[tokio::test]
async fn on_sqlite() {
    let (config, _keep) = testing::sqlite();
    pages_come_from_indexes(&config).await;
}

#[tokio::test]
async fn on_postgres() {
    let Some((config, _keep)) = testing::postgres() else {
        eprintln!("PostgreSQL is not installed here; not tested on it");
        return;
    };
    pages_come_from_indexes(&config).await;
}
