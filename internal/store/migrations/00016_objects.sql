-- +goose Up
-- What AWS's clients read and write as objects of S3. Times are RFC 3339 in UTC
-- with three digits of the second.
CREATE TABLE buckets (
    name    TEXT PRIMARY KEY,
    created TEXT NOT NULL
);
-- The artifacts of executions.
INSERT INTO buckets (name, created) VALUES ('towline-artifacts', strftime('%Y-%m-%dT%H:%M:%fZ', 'now'));

CREATE TABLE objects (
    id       INTEGER PRIMARY KEY,
    bucket   TEXT NOT NULL REFERENCES buckets (name),
    key      TEXT NOT NULL,
    size     INTEGER NOT NULL,
    etag     TEXT NOT NULL,            -- without quotes
    headers  TEXT NOT NULL,            -- JSON: what is answered as it was given
    modified TEXT NOT NULL,
    artifact TEXT NOT NULL DEFAULT '', -- digest of an execution's artifact; '' for bytes in chunks
    UNIQUE (bucket, key)
);

-- The bytes of an object, one chunk after the other.
CREATE TABLE object_chunks (
    object   INTEGER NOT NULL REFERENCES objects (id) ON DELETE CASCADE,
    position INTEGER NOT NULL,
    digest   TEXT NOT NULL,
    size     INTEGER NOT NULL,
    PRIMARY KEY (object, position)
);
CREATE INDEX object_chunks_digest ON object_chunks (digest);

-- Uploads in parts that are neither complete nor given up.
CREATE TABLE uploads (
    id      TEXT PRIMARY KEY,
    bucket  TEXT NOT NULL REFERENCES buckets (name),
    key     TEXT NOT NULL,
    headers TEXT NOT NULL, -- JSON: of the object that is to be
    owner   TEXT NOT NULL, -- the access key that began it
    started TEXT NOT NULL
);
CREATE INDEX uploads_key ON uploads (bucket, key, id);
CREATE TABLE upload_parts (
    upload   TEXT NOT NULL REFERENCES uploads (id) ON DELETE CASCADE,
    number   INTEGER NOT NULL,
    digest   TEXT NOT NULL,
    size     INTEGER NOT NULL,
    etag     TEXT NOT NULL,
    checksum TEXT NOT NULL, -- '' for none
    at       TEXT NOT NULL,
    PRIMARY KEY (upload, number)
);
CREATE INDEX upload_parts_digest ON upload_parts (digest);

-- What executions have made before there was a table of objects.
INSERT OR IGNORE INTO objects (bucket, key, size, etag, headers, modified, artifact)
    SELECT 'towline-artifacts', e.pipeline || '/' || (m.value ->> 'name') || '/' || substr(m.value ->> 'digest', 8, 12), m.value ->> 'size',
        substr(m.value ->> 'digest', 8, 32) || '-1', '{"Content-Type":"application/zip"}',
        coalesce(strftime('%Y-%m-%dT%H:%M:%fZ', a.value ->> 'ended'), strftime('%Y-%m-%dT%H:%M:%fZ', 'now')), m.value ->> 'digest'
    FROM executions e, json_each(e.state, '$.stages') s, json_each(s.value, '$.actions') a, json_each(a.value, '$.result.artifacts') m
    WHERE length(m.value ->> 'digest') > 40;

-- Temporary keys of those who work on a job.
CREATE TABLE sessions (
    id      TEXT PRIMARY KEY,
    sealed  BLOB NOT NULL, -- the secret, encrypted: nothing of it is in the clear
    token   BLOB NOT NULL, -- SHA-256 of the token that comes with each request
    job     TEXT NOT NULL,
    scope   TEXT NOT NULL, -- JSON: what may be done
    expires TEXT NOT NULL
);
CREATE INDEX sessions_job ON sessions (job);
CREATE INDEX sessions_expires ON sessions (expires);

-- +goose Down
DROP TABLE sessions;
DROP TABLE upload_parts;
DROP TABLE uploads;
DROP TABLE object_chunks;
DROP TABLE objects;
DROP TABLE buckets;
