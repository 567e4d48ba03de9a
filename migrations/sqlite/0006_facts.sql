-- What people see of a repository and find it by: descriptions, stars, flags,
-- who pushed what for which platform and when it was last pulled, and the words
-- of all that.

-- description is what was said through the API; image_description what the
-- image of described_by says of itself (tag `latest`, else the tag that moved
-- last). words_version is that of the program that wrote repository_words.
-- used_bytes is the size of the blobs that the repository shows and of its
-- manifests; the triggers below keep it.
ALTER TABLE repositories ADD COLUMN description TEXT NOT NULL DEFAULT '';
ALTER TABLE repositories ADD COLUMN image_description TEXT NOT NULL DEFAULT '';
ALTER TABLE repositories ADD COLUMN described_by TEXT NOT NULL DEFAULT '';
ALTER TABLE repositories ADD COLUMN words_version BIGINT NOT NULL DEFAULT 0;
ALTER TABLE repositories ADD COLUMN official BIGINT NOT NULL DEFAULT 0;
ALTER TABLE repositories ADD COLUMN automated BIGINT NOT NULL DEFAULT 0;
ALTER TABLE repositories ADD COLUMN star_count BIGINT NOT NULL DEFAULT 0;
ALTER TABLE repositories ADD COLUMN used_bytes BIGINT NOT NULL DEFAULT 0;

ALTER TABLE tags ADD COLUMN pushed_by TEXT NOT NULL DEFAULT '';
CREATE INDEX tags_by_age ON tags (repository_id, updated_at);

-- One star per account.
CREATE TABLE stars (
    repository_id BIGINT NOT NULL REFERENCES repositories (id) ON DELETE CASCADE,
    account       TEXT NOT NULL,
    starred_at    BIGINT NOT NULL,
    PRIMARY KEY (repository_id, account)
);

-- What was read out of a manifest and its config, and who uses it. labels is a
-- JSON object of labels and annotations. content_bytes is the size of config and
-- layers; that of an index is its children's.
CREATE TABLE manifest_facts (
    repository_id  BIGINT NOT NULL,
    digest         TEXT NOT NULL,
    platform       TEXT NOT NULL,
    content_bytes  BIGINT NOT NULL,
    description    TEXT NOT NULL,
    labels         TEXT NOT NULL,
    pushed_by      TEXT NOT NULL,
    last_pulled_at BIGINT,
    PRIMARY KEY (repository_id, digest),
    FOREIGN KEY (repository_id, digest)
        REFERENCES manifests (repository_id, digest) ON DELETE CASCADE
);

-- Words as the program splits them, so that both databases find the same; the
-- row's id is the repository's.
CREATE VIRTUAL TABLE repository_words USING fts5 (
    name, description, labels,
    tokenize = 'ascii', prefix = '2 3', detail = 'column'
);

UPDATE repositories SET used_bytes =
    COALESCE((SELECT SUM(b.size_bytes) FROM repository_blobs l
              JOIN blobs b ON b.digest = l.digest WHERE l.repository_id = repositories.id), 0)
  + COALESCE((SELECT SUM(m.size_bytes) FROM manifests m
              WHERE m.repository_id = repositories.id), 0);

CREATE TRIGGER repository_blobs_added AFTER INSERT ON repository_blobs BEGIN
    UPDATE repositories SET used_bytes = used_bytes
        + (SELECT size_bytes FROM blobs WHERE digest = NEW.digest)
    WHERE id = NEW.repository_id;
END;
CREATE TRIGGER repository_blobs_removed AFTER DELETE ON repository_blobs BEGIN
    UPDATE repositories SET used_bytes = used_bytes
        - (SELECT size_bytes FROM blobs WHERE digest = OLD.digest)
    WHERE id = OLD.repository_id;
END;
CREATE TRIGGER manifests_added AFTER INSERT ON manifests BEGIN
    UPDATE repositories SET used_bytes = used_bytes + NEW.size_bytes
    WHERE id = NEW.repository_id;
END;
CREATE TRIGGER manifests_removed AFTER DELETE ON manifests BEGIN
    UPDATE repositories SET used_bytes = used_bytes - OLD.size_bytes
    WHERE id = OLD.repository_id;
END;
