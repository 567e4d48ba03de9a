-- Who there is, what each may do, and what was done.
--
-- Nothing here can be turned back into a secret: passwords are argon2id hashes,
-- tokens are SHA-256 of 256 random bits. The exception is signing_keys, which
-- the registry signs its own short-lived tokens with.

-- People and robots; one space of names, as clients send a name alone.
-- credentials_version counts changes of the password: what was issued for an
-- older one is no longer good.
CREATE TABLE accounts (
    id                  TEXT PRIMARY KEY,
    name                TEXT COLLATE "C" NOT NULL UNIQUE,
    kind                TEXT NOT NULL CHECK (kind IN ('user', 'robot')),
    password_hash       TEXT,
    credentials_version BIGINT NOT NULL,
    disabled_at         BIGINT,
    created_at          BIGINT NOT NULL
);

CREATE TABLE account_groups (
    id         TEXT PRIMARY KEY,
    name       TEXT COLLATE "C" NOT NULL UNIQUE,
    created_at BIGINT NOT NULL
);

CREATE TABLE group_members (
    group_id   TEXT NOT NULL REFERENCES account_groups (id) ON DELETE CASCADE,
    account_id TEXT NOT NULL REFERENCES accounts (id) ON DELETE CASCADE,
    PRIMARY KEY (group_id, account_id)
);
CREATE INDEX group_members_by_account ON group_members (account_id);

-- Long-lived secrets of an account. scopes is what the token is limited to
-- (repository:PATTERN:ACTIONS, with spaces between), empty for all that the
-- account may do.
CREATE TABLE api_tokens (
    id          TEXT PRIMARY KEY,
    account_id  TEXT NOT NULL REFERENCES accounts (id) ON DELETE CASCADE,
    label       TEXT NOT NULL,
    secret_hash TEXT NOT NULL UNIQUE,
    scopes      TEXT NOT NULL,
    created_at  BIGINT NOT NULL,
    expires_at  BIGINT,
    revoked_at  BIGINT
);
CREATE INDEX api_tokens_by_account ON api_tokens (account_id);

-- Of account_id and group_id one is set, or neither: then it is for everybody,
-- also for who has no account.
CREATE TABLE grants (
    id         TEXT PRIMARY KEY,
    account_id TEXT REFERENCES accounts (id) ON DELETE CASCADE,
    group_id   TEXT REFERENCES account_groups (id) ON DELETE CASCADE,
    effect     TEXT NOT NULL CHECK (effect IN ('allow', 'deny')),
    actions    TEXT NOT NULL,
    pattern    TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    CHECK (account_id IS NULL OR group_id IS NULL)
);
CREATE INDEX grants_by_account ON grants (account_id);
CREATE INDEX grants_by_group ON grants (group_id);

-- Whose ID tokens of which OpenID Connect issuer stand for which account.
-- subject may hold * for any characters.
CREATE TABLE identities (
    id         TEXT PRIMARY KEY,
    account_id TEXT NOT NULL REFERENCES accounts (id) ON DELETE CASCADE,
    issuer     TEXT NOT NULL,
    subject    TEXT NOT NULL,
    audience   TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    UNIQUE (issuer, subject, audience)
);
CREATE INDEX identities_by_account ON identities (account_id);

-- The newest one signs; the others still verify what they signed.
CREATE TABLE signing_keys (
    id          TEXT PRIMARY KEY,
    private_key TEXT NOT NULL,
    created_at  BIGINT NOT NULL
);

-- generation is another number after every change of the tables above, so that
-- every process learns of it by reading one row. closed_at is set once the
-- first account or grant is made, and never taken back.
CREATE TABLE auth_state (
    id         BIGINT PRIMARY KEY CHECK (id = 1),
    generation BIGINT NOT NULL,
    closed_at  BIGINT
);
INSERT INTO auth_state (id, generation) VALUES (1, 0);

-- What was done, by whom, from where, and whether it was allowed.
CREATE TABLE audit_records (
    id         TEXT COLLATE "C" PRIMARY KEY,
    at         BIGINT NOT NULL,
    actor      TEXT NOT NULL,
    action     TEXT NOT NULL,
    subject    TEXT NOT NULL,
    digest     TEXT,
    address    TEXT,
    outcome    TEXT NOT NULL
);
CREATE INDEX audit_records_by_time ON audit_records (at);
