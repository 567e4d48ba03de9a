//! Opens the database and brings its schema up to date.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use sqlx::any::AnyPoolOptions;
use sqlx::migrate::Migrator;
use sqlx::{AnyConnection, Connection as _, Executor as _};

use super::schema::Schema;
use super::write::Writer;
use super::{Database, DbError, Kind};
use crate::config::DatabaseConfig;

static SQLITE_MIGRATIONS: Migrator = sqlx::migrate!("../migrations/sqlite");
static POSTGRES_MIGRATIONS: Migrator = sqlx::migrate!("../migrations/postgres");

/// FULL: a commit that was answered survives a power cut. The journal is
/// truncated by the writer as it goes (`wal_autocheckpoint`). Each connection has
/// a cache of its own (KiB, negative), which is full once a registry is large; what
/// it has no room for is in the page cache, a system call away.
const SQLITE_SETTINGS: &str = "
    PRAGMA journal_mode = WAL;
    PRAGMA synchronous = FULL;
    PRAGMA foreign_keys = ON;
    PRAGMA busy_timeout = 10000;
    PRAGMA temp_store = MEMORY;
    PRAGMA cache_size = -2048;
";

impl Database {
    /// Connects and migrates. Creates the SQLite file and its folder when they
    /// are missing.
    pub(crate) async fn open(config: &DatabaseConfig) -> Result<Self, DbError> {
        sqlx::any::install_default_drivers();
        let url = config.url.expose();
        if url.starts_with("sqlite:") {
            open_sqlite(url, config).await
        } else {
            open_postgres(url, config).await
        }
    }

    /// Opens the database to look at it, and says what its schema is; applies
    /// nothing. `None` when there is no database file.
    pub(crate) async fn look(config: &DatabaseConfig) -> Result<Option<(Self, Schema)>, DbError> {
        sqlx::any::install_default_drivers();
        let url = config.url.expose();
        let (kind, pool) = if url.starts_with("sqlite:") {
            if !tokio::fs::try_exists(file_of(url))
                .await
                .map_err(sqlx::Error::Io)?
            {
                return Ok(None);
            }
            let pool = AnyPoolOptions::new()
                .max_connections(config.connections)
                .acquire_timeout(config.acquire_timeout)
                .connect(&with_mode(url, "ro"))
                .await?;
            (Kind::Sqlite, pool)
        } else {
            let pool = postgres_pool(config).connect(url).await?;
            (Kind::Postgres, pool)
        };
        let (migrations, writer) = match kind {
            Kind::Sqlite => (&SQLITE_MIGRATIONS, Writer::sqlite(pool.clone())),
            Kind::Postgres => (&POSTGRES_MIGRATIONS, Writer::Postgres(pool.clone())),
        };
        let schema = Schema::read(kind, &pool, migrations).await?;
        let database = Self {
            kind,
            readers: pool,
            writer: Arc::new(writer),
            recent: Arc::default(),
            fresh_uploads: Arc::default(),
        };
        Ok(Some((database, schema)))
    }

    /// Fails when the database does not answer.
    pub(crate) async fn ping(&self) -> Result<(), DbError> {
        sqlx::query("SELECT 1").execute(&self.readers).await?;
        Ok(())
    }
}

async fn open_sqlite(url: &str, config: &DatabaseConfig) -> Result<Database, DbError> {
    make_folder_of(url).await.map_err(sqlx::Error::Io)?;
    let url = with_mode(url, "rwc");
    let writer = sqlite_pool(1, config.acquire_timeout).connect(&url).await?;
    SQLITE_MIGRATIONS.run(&writer).await?;
    let readers = sqlite_pool(config.connections, config.acquire_timeout)
        .connect(&url)
        .await?;
    let watching = AnyConnection::connect(&url).await?;
    let writer = Writer::sqlite(writer);
    writer.watch(watching);
    Ok(Database {
        kind: Kind::Sqlite,
        readers,
        writer: Arc::new(writer),
        recent: Arc::default(),
        fresh_uploads: Arc::default(),
    })
}

/// SQLite makes the file, but not the folder that it lies in.
async fn make_folder_of(url: &str) -> std::io::Result<()> {
    match file_of(url).parent() {
        Some(folder) => tokio::fs::create_dir_all(folder).await,
        None => Ok(()),
    }
}

fn file_of(url: &str) -> &Path {
    let path = url.trim_start_matches("sqlite:").trim_start_matches("//");
    Path::new(path.split('?').next().unwrap_or(path))
}

fn with_mode(url: &str, mode: &str) -> String {
    let separator = if url.contains('?') { '&' } else { '?' };
    format!("{url}{separator}mode={mode}")
}

fn sqlite_pool(connections: u32, acquire_timeout: Duration) -> AnyPoolOptions {
    AnyPoolOptions::new()
        .max_connections(connections)
        .acquire_timeout(acquire_timeout)
        // A file on this machine does not go away between two requests.
        .test_before_acquire(false)
        .idle_timeout(None)
        .max_lifetime(None)
        .after_connect(|connection: &mut AnyConnection, _| {
            Box::pin(async move {
                connection.execute(sqlx::raw_sql(SQLITE_SETTINGS)).await?;
                Ok(())
            })
        })
}

async fn open_postgres(url: &str, config: &DatabaseConfig) -> Result<Database, DbError> {
    let pool = postgres_pool(config).connect(url).await?;
    POSTGRES_MIGRATIONS.run(&pool).await?;
    Ok(Database {
        kind: Kind::Postgres,
        readers: pool.clone(),
        writer: Arc::new(Writer::Postgres(pool)),
        recent: Arc::default(),
        fresh_uploads: Arc::default(),
    })
}

fn postgres_pool(config: &DatabaseConfig) -> AnyPoolOptions {
    AnyPoolOptions::new()
        .max_connections(config.connections)
        .acquire_timeout(config.acquire_timeout)
}
