-- The whole registry: what exists, what names it, where its bytes are.
--
-- Times are milliseconds since 1970. Digests are text, algorithm and all.
-- Bytes are in the object store, under keys that are written once and never
-- used again; a key is in exactly one of blob_segments, upload_segments and
-- garbage_objects.
-- Names sort by their bytes (COLLATE "C"), as the specification asks of
-- listings, whatever the database's own locale is.

CREATE TABLE repositories (
    id         BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name       TEXT COLLATE "C" NOT NULL UNIQUE,
    created_at BIGINT NOT NULL
);

-- Content that was verified against its digest, whoever may see it.
CREATE TABLE blobs (
    digest     TEXT PRIMARY KEY,
    size_bytes BIGINT NOT NULL,
    created_at BIGINT NOT NULL
);

-- The objects that make up a blob, in order; an empty blob has none.
CREATE TABLE blob_segments (
    digest     TEXT NOT NULL REFERENCES blobs (digest) ON DELETE CASCADE,
    position   BIGINT NOT NULL,
    object_key TEXT NOT NULL UNIQUE,
    size_bytes BIGINT NOT NULL,
    PRIMARY KEY (digest, position)
);

-- Which repository shows which blob. No ON DELETE: a blob that some repository
-- shows cannot go away.
CREATE TABLE repository_blobs (
    repository_id BIGINT NOT NULL REFERENCES repositories (id),
    digest        TEXT NOT NULL REFERENCES blobs (digest),
    linked_at     BIGINT NOT NULL,
    PRIMARY KEY (repository_id, digest)
);
CREATE INDEX repository_blobs_by_digest ON repository_blobs (digest);
CREATE INDEX repository_blobs_by_age ON repository_blobs (linked_at);

-- hash_state is the digest's state after offset_bytes, so that any replica can
-- go on with the upload after any restart.
CREATE TABLE uploads (
    id            TEXT PRIMARY KEY,
    repository_id BIGINT NOT NULL REFERENCES repositories (id),
    algorithm     TEXT NOT NULL,
    offset_bytes  BIGINT NOT NULL,
    hash_state    BYTEA NOT NULL,
    started_at    BIGINT NOT NULL,
    updated_at    BIGINT NOT NULL
);
CREATE INDEX uploads_by_age ON uploads (updated_at);

CREATE TABLE upload_segments (
    upload_id  TEXT NOT NULL REFERENCES uploads (id) ON DELETE CASCADE,
    position   BIGINT NOT NULL,
    object_key TEXT NOT NULL UNIQUE,
    size_bytes BIGINT NOT NULL,
    PRIMARY KEY (upload_id, position)
);

-- content is exactly what was pushed. artifact_type and annotations (a JSON
-- object) are what a referrers listing repeats of it.
CREATE TABLE manifests (
    repository_id BIGINT NOT NULL REFERENCES repositories (id),
    digest        TEXT COLLATE "C" NOT NULL,
    media_type    TEXT NOT NULL,
    size_bytes    BIGINT NOT NULL,
    content       BYTEA NOT NULL,
    subject       TEXT,
    artifact_type TEXT,
    annotations   TEXT,
    pushed_at     BIGINT NOT NULL,
    PRIMARY KEY (repository_id, digest)
);
CREATE INDEX manifests_by_subject ON manifests (repository_id, subject, digest);
CREATE INDEX manifests_by_age ON manifests (pushed_at);

-- What a manifest leads to: blobs (config, layers) and, of an index, manifests.
-- Not a foreign key: a manifest may name what the repository lacks.
CREATE TABLE manifest_references (
    repository_id   BIGINT NOT NULL,
    manifest_digest TEXT COLLATE "C" NOT NULL,
    target_digest   TEXT COLLATE "C" NOT NULL,
    target_kind     TEXT NOT NULL CHECK (target_kind IN ('blob', 'manifest')),
    PRIMARY KEY (repository_id, manifest_digest, target_digest, target_kind),
    FOREIGN KEY (repository_id, manifest_digest)
        REFERENCES manifests (repository_id, digest) ON DELETE CASCADE
);
CREATE INDEX manifest_references_by_target
    ON manifest_references (repository_id, target_digest, target_kind);

-- Deleting a manifest deletes its tags (end-9).
CREATE TABLE tags (
    repository_id BIGINT NOT NULL,
    name          TEXT COLLATE "C" NOT NULL,
    digest        TEXT COLLATE "C" NOT NULL,
    updated_at    BIGINT NOT NULL,
    PRIMARY KEY (repository_id, name),
    FOREIGN KEY (repository_id, digest)
        REFERENCES manifests (repository_id, digest) ON DELETE CASCADE
);
CREATE INDEX tags_by_digest ON tags (repository_id, digest);

-- Objects that no row names any more and that are still to be deleted.
CREATE TABLE garbage_objects (
    object_key TEXT PRIMARY KEY,
    queued_at  BIGINT NOT NULL
);
CREATE INDEX garbage_objects_by_age ON garbage_objects (queued_at);
