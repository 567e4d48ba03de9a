//! Table `repository_words` and the search in it.
//!
//! A repository's words are its name, its description and what its newest image
//! says of itself. They change in the transaction that moves the tag.

use std::collections::BTreeMap;

use hythe_oci::RepositoryName;
use sqlx::AnyConnection;
use sqlx::Row as _;
use sqlx::any::AnyRow;

use super::words::{self, Question};
use super::{Database, DbError, Kind, parsed, retrying, size};

/// Keys of annotations that the image specification defines.
const STANDARD_KEYS: &str = "org.opencontainers.";

/// What a repository says of itself and others of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct FoundRepository {
    pub(crate) name: RepositoryName,
    /// What was said of it, else what its newest image says; may be empty.
    pub(crate) description: String,
    pub(crate) star_count: u64,
    pub(crate) is_official: bool,
    pub(crate) is_automated: bool,
}

/// The search. Parameters: the pattern of a name that holds the term, the term,
/// the pattern of a name that begins with it, limit, offset; then the words: in
/// any field, in the name, in name or description.
macro_rules! search {
    ($anywhere:literal, $in_name:literal, $in_description:literal) => {
        concat!(
            "SELECT r.name, r.star_count, r.official, r.automated,
               CASE r.description WHEN '' THEN r.image_description ELSE r.description END AS said
             FROM repositories r
             WHERE (r.id IN (",
            $anywhere,
            ") OR r.name LIKE $1 ESCAPE '!')
               AND EXISTS (SELECT 1 FROM manifests m WHERE m.repository_id = r.id)
             ORDER BY CASE WHEN r.name = $2 THEN 0 WHEN r.name LIKE $3 ESCAPE '!' THEN 1 ELSE 2 END,
               r.star_count DESC,
               CASE WHEN r.id IN (",
            $in_name,
            ") THEN 0 WHEN r.id IN (",
            $in_description,
            ") THEN 1 ELSE 2 END,
               length(r.name), r.name
             LIMIT $4 OFFSET $5"
        )
    };
}

const ON_SQLITE: &str = search!(
    "SELECT rowid FROM repository_words WHERE repository_words MATCH $6",
    "SELECT rowid FROM repository_words WHERE repository_words MATCH $7",
    "SELECT rowid FROM repository_words WHERE repository_words MATCH $8"
);

const ON_POSTGRES: &str = search!(
    "SELECT repository_id FROM repository_words WHERE everything @@ $6::text::tsquery",
    "SELECT repository_id FROM repository_words WHERE name @@ $7::text::tsquery",
    "SELECT repository_id FROM repository_words
     WHERE name || description @@ $8::text::tsquery"
);

/// The digest of the newest image of the repository `$1`.
macro_rules! newest {
    () => {
        "COALESCE(
           (SELECT t.digest FROM tags t WHERE t.repository_id = $1 AND t.name = 'latest'),
           (SELECT t.digest FROM tags t WHERE t.repository_id + 0 = $1
            ORDER BY t.updated_at DESC LIMIT 1), '')"
    };
}

/// By what a repository should be indexed.
pub(super) const NEWEST: &str = concat!(
    "SELECT ",
    newest!(),
    " AS newest FROM repositories WHERE id = $1"
);

/// Has a repository indexed by its newest image, if that needs nothing: it was
/// already, or by one that said the same, as most do that are pushed to a tag
/// again. Indexes are not compared: some of what they say is their images'.
pub(super) const FOLLOW: &str = concat!(
    "UPDATE repositories SET described_by = n.newest FROM (SELECT ",
    newest!(),
    " AS newest) n
     WHERE id = $1 AND words_version = $2 AND (described_by = n.newest
       OR (EXISTS (SELECT 1 FROM manifest_facts f JOIN manifest_facts g
             ON g.repository_id = f.repository_id
            AND g.description = f.description AND g.labels = f.labels
           WHERE f.repository_id = $1 AND f.digest = described_by AND g.digest = n.newest)
         AND NOT EXISTS (SELECT 1 FROM manifest_references e
           WHERE e.repository_id = $1 AND e.manifest_digest IN (described_by, n.newest)
             AND e.target_kind = 'manifest')))"
);

impl Database {
    /// Up to `limit` repositories after the first `offset` that a term finds:
    /// the one of that very name, those whose name begins so, the rest; of
    /// those the ones with most stars, then where the words were found.
    pub(crate) async fn search_repositories(
        &self,
        term: &str,
        (limit, offset): (u32, u32),
    ) -> Result<Vec<FoundRepository>, DbError> {
        // PostgreSQL's text cannot hold it, and no name does.
        let term = term.replace('\0', " ");
        let question = Question::new(&term);
        let (statement, words) = match self.kind {
            Kind::Sqlite => {
                let columns = ["", "name", "name description"];
                (ON_SQLITE, columns.map(|names| question.for_sqlite(names)))
            }
            Kind::Postgres => (ON_POSTGRES, [(); 3].map(|()| question.for_postgres())),
        };
        let mut query = sqlx::query(statement)
            .bind(format!("%{}%", literal(&term)))
            .bind(term.clone())
            .bind(format!("{}%", literal(&term)))
            .bind(i64::from(limit))
            .bind(i64::from(offset));
        for question in words {
            query = query.bind(question);
        }
        let rows = query.fetch_all(&self.readers).await?;
        rows.iter().map(found).collect()
    }

    /// Indexes up to `limit` repositories that were indexed by an older program
    /// or never; how many there were.
    pub(crate) async fn index_outdated(&self, limit: u32) -> Result<u64, DbError> {
        let rows = sqlx::query("SELECT id FROM repositories WHERE words_version < $1 LIMIT $2")
            .bind(words::VERSION)
            .bind(i64::from(limit))
            .fetch_all(&self.readers)
            .await?;
        for row in &rows {
            let id: i64 = row.try_get("id")?;
            retrying(|| async {
                let mut write = self.begin().await?;
                refresh(self.kind, write.connection()?, id).await?;
                write.commit().await
            })
            .await?;
        }
        Ok(rows.len() as u64)
    }
}

fn found(row: &AnyRow) -> Result<FoundRepository, DbError> {
    Ok(FoundRepository {
        name: parsed(row, "name")?,
        description: row.try_get("said")?,
        star_count: size(row, "star_count")?,
        is_official: row.try_get::<i64, _>("official")? != 0,
        is_automated: row.try_get::<i64, _>("automated")? != 0,
    })
}

/// A text as a pattern of LIKE that means just that text.
pub(super) fn literal(text: &str) -> String {
    let mut pattern = String::with_capacity(text.len());
    for c in text.chars() {
        if matches!(c, '%' | '_' | '!') {
            pattern.push('!');
        }
        pattern.push(c);
    }
    pattern
}

/// Indexes a repository again if its newest image is another one now; to be
/// called in every transaction that may have changed which that is.
pub(super) async fn refresh(
    kind: Kind,
    connection: &mut AnyConnection,
    repository_id: i64,
) -> Result<(), DbError> {
    let followed = sqlx::query(FOLLOW)
        .bind(repository_id)
        .bind(words::VERSION)
        .execute(&mut *connection)
        .await?;
    if followed.rows_affected() > 0 {
        return Ok(());
    }
    let row = sqlx::query(NEWEST)
        .bind(repository_id)
        .fetch_optional(&mut *connection)
        .await?;
    let Some(row) = row else {
        return Ok(());
    };
    let newest: String = row.try_get("newest")?;
    index(kind, connection, repository_id, &newest).await
}

/// Indexes a repository by what `newest`, a manifest or nothing, says.
pub(super) async fn index(
    kind: Kind,
    connection: &mut AnyConnection,
    repository_id: i64,
    newest: &str,
) -> Result<(), DbError> {
    let said = image_says(connection, repository_id, newest).await?;
    let row = sqlx::query(
        "UPDATE repositories SET described_by = $1, image_description = $2, words_version = $3
         WHERE id = $4 RETURNING name, description",
    )
    .bind(newest)
    .bind(said.description.as_str())
    .bind(words::VERSION)
    .bind(repository_id)
    .fetch_one(&mut *connection)
    .await?;
    let description: String = row.try_get("description")?;
    let name = words::of(&row.try_get::<String, _>("name")?);
    let description = words::of(&format!("{description} {}", said.description));
    let labels = words::of(&said.labels);
    let statements = match kind {
        Kind::Sqlite => [
            "DELETE FROM repository_words WHERE rowid = $1",
            "INSERT INTO repository_words (rowid, name, description, labels)
             VALUES ($1, $2, $3, $4)",
        ],
        Kind::Postgres => [
            "DELETE FROM repository_words WHERE repository_id = $1",
            "INSERT INTO repository_words (repository_id, name, description, everything)
             SELECT $1, w.name, w.description, w.name || w.description || w.labels
             FROM (SELECT array_to_tsvector(array_remove(string_to_array($2, ' '), '')) AS name,
                     array_to_tsvector(array_remove(string_to_array($3, ' '), '')) AS description,
                     array_to_tsvector(array_remove(string_to_array($4, ' '), '')) AS labels) w",
        ],
    };
    sqlx::query(statements[0])
        .bind(repository_id)
        .execute(&mut *connection)
        .await?;
    sqlx::query(statements[1])
        .bind(repository_id)
        .bind(name)
        .bind(description)
        .bind(labels)
        .execute(connection)
        .await?;
    Ok(())
}

#[derive(Debug, Default)]
struct Said {
    description: String,
    /// As text to be split into words.
    labels: String,
}

/// What an image says of itself; an index says what it says and what one of its
/// images says.
async fn image_says(
    connection: &mut AnyConnection,
    repository_id: i64,
    newest: &str,
) -> Result<Said, DbError> {
    let rows = sqlx::query(
        "SELECT f.description, f.labels, 0 AS place FROM manifest_facts f
         WHERE f.repository_id = $1 AND f.digest = $2
         UNION ALL
         SELECT * FROM (SELECT f.description, f.labels, 1 AS place FROM manifest_references e
             JOIN manifest_facts f
               ON f.repository_id = e.repository_id AND f.digest = e.target_digest
             WHERE e.repository_id = $1 AND e.manifest_digest = $2
               AND e.target_kind = 'manifest' AND f.platform NOT IN ('', 'unknown/unknown')
             ORDER BY e.target_digest LIMIT 1) child
         ORDER BY place",
    )
    .bind(repository_id)
    .bind(newest)
    .fetch_all(connection)
    .await?;
    let mut said = Said::default();
    for row in &rows {
        if said.description.is_empty() {
            said.description = row.try_get("description")?;
        }
        let labels: String = row.try_get("labels")?;
        said.labels.push_str(&searchable(&labels));
    }
    Ok(said)
}

/// What of a JSON object of labels is searched: values, and keys that not every
/// image has.
fn searchable(labels: &str) -> String {
    let labels: BTreeMap<String, String> = serde_json::from_str(labels).unwrap_or_default();
    let mut text = String::new();
    for (key, value) in &labels {
        if !key.starts_with(STANDARD_KEYS) {
            text.push_str(key);
            text.push(' ');
        }
        text.push_str(value);
        text.push(' ');
    }
    text
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::Database;
    use crate::config::DatabaseConfig;
    use crate::testing;

    /// Nothing that anybody may type is an error of the database.
    fn takes_any_term(config: &DatabaseConfig) {
        let runtime = tokio::runtime::Runtime::new().unwrap();
        let database = runtime.block_on(Database::open(config)).unwrap();
        let terms = prop_oneof![
            any::<String>(),
            "[\\[\\]{}()'\"*:^+|&!~<> a-zA-Z-]{0,40}",
            "(AND|OR|NOT|NEAR|:|\\*|\"|'|\\(|\\)|x| ){0,12}",
        ];
        let config = ProptestConfig::with_cases(128);
        let check = |term: String| {
            let found = runtime.block_on(database.search_repositories(&term, (10, 0)));
            prop_assert!(found.unwrap().is_empty());
            Ok(())
        };
        proptest::test_runner::TestRunner::new(config)
            .run(&terms, check)
            .unwrap();
    }

    #[test]
    fn any_term_on_sqlite() {
        let (config, _keep) = testing::sqlite();
        takes_any_term(&config);
    }

    #[test]
    fn any_term_on_postgres() {
        let Some((config, _keep)) = testing::postgres() else {
            eprintln!("PostgreSQL is not installed here; not tested on it");
            return;
        };
        takes_any_term(&config);
    }
}
