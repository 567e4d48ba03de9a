-- Every move of a tag, and what administrators set: which tags may not move,
-- which are kept, how much may be stored.

-- digest is what the tag names from then on, previous what it named before;
-- NULL is nothing. The collector keeps what previous names for a while.
CREATE TABLE tag_history (
    id            INTEGER PRIMARY KEY,
    repository_id BIGINT NOT NULL REFERENCES repositories (id) ON DELETE CASCADE,
    tag           TEXT NOT NULL,
    digest        TEXT,
    previous      TEXT,
    reason        TEXT NOT NULL CHECK (reason IN ('push', 'delete', 'restore', 'retention')),
    moved_by      TEXT NOT NULL,
    moved_at      BIGINT NOT NULL
);
CREATE INDEX tag_history_by_tag ON tag_history (repository_id, tag, id);
CREATE INDEX tag_history_by_age ON tag_history (moved_at);
CREATE INDEX tag_history_by_repository_age ON tag_history (repository_id, moved_at);

-- content is a JSON array of the kind's rules, beside those of the
-- configuration.
CREATE TABLE policies (
    kind       TEXT PRIMARY KEY CHECK (kind IN ('immutable-tags', 'retention', 'quotas')),
    content    TEXT NOT NULL,
    changed_by TEXT NOT NULL,
    changed_at BIGINT NOT NULL
);

-- What a quota counts beside what is shown.
CREATE INDEX uploads_by_repository ON uploads (repository_id);
