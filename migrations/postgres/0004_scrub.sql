-- Scrub: every blob is read again from time to time and compared with its
-- digest. One that is not what its digest says is quarantined: it is served to
-- nobody, and the next push of the same digest replaces its objects.

ALTER TABLE blobs ADD COLUMN quarantined_at BIGINT;
ALTER TABLE blobs ADD COLUMN quarantine_reason TEXT;
CREATE INDEX blobs_quarantined ON blobs (quarantined_at) WHERE quarantined_at IS NOT NULL;

-- The one pass that all processes on this database make together: whoever
-- holds the lease goes on after last_digest, which is empty between passes.
CREATE TABLE scrub_pass (
    id          BIGINT PRIMARY KEY CHECK (id = 1),
    owner       TEXT NOT NULL,
    lease_until BIGINT NOT NULL,
    last_digest TEXT NOT NULL,
    finished_at BIGINT NOT NULL
);
INSERT INTO scrub_pass (id, owner, lease_until, last_digest, finished_at)
VALUES (1, '', 0, '', 0);
