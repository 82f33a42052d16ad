-- +goose Up
-- Functions that actions and rules invoke. Their code lies with the artifacts.
CREATE TABLE functions (
    name     TEXT PRIMARY KEY,
    revision INTEGER NOT NULL, -- from 1, one more with each change
    settings TEXT NOT NULL,    -- JSON
    sealed   BLOB,             -- the environment, JSON, encrypted
    code     TEXT NOT NULL,    -- digest of the archive
    size     INTEGER NOT NULL, -- of the archive in bytes
    created  TEXT NOT NULL,    -- RFC 3339, UTC
    updated  TEXT NOT NULL     -- RFC 3339, UTC
);

-- A job that a function works on, and what the function has said of it.
ALTER TABLE jobs ADD COLUMN function TEXT NOT NULL DEFAULT ''; -- '' for a worker's
ALTER TABLE jobs ADD COLUMN report TEXT NOT NULL DEFAULT '';   -- JSON

-- +goose Down
ALTER TABLE jobs DROP COLUMN report;
ALTER TABLE jobs DROP COLUMN function;
DROP TABLE functions;
