-- +goose Up
CREATE TABLE access_keys (
    id      TEXT PRIMARY KEY,
    sealed  BLOB NOT NULL, -- the secret, encrypted: nothing of it is in the clear
    role    TEXT NOT NULL, -- viewer, operator or admin
    note    TEXT NOT NULL,
    created TEXT NOT NULL, -- RFC 3339, UTC
    used    TEXT NOT NULL DEFAULT '' -- the hour of the last use, '' before the first
);

-- The answers to requests that carry a client's own token, so that one which is
-- sent again does nothing twice.
CREATE TABLE client_requests (
    operation TEXT NOT NULL,
    token     TEXT NOT NULL,
    digest    TEXT NOT NULL, -- of what was asked
    answer    TEXT NOT NULL,
    at        TEXT NOT NULL, -- RFC 3339, UTC
    PRIMARY KEY (operation, token)
);
CREATE INDEX client_requests_at ON client_requests (at);

CREATE TABLE resource_tags (
    resource TEXT NOT NULL, -- the last part of its ARN: a pipeline's name
    key      TEXT NOT NULL,
    value    TEXT NOT NULL,
    PRIMARY KEY (resource, key)
);

-- Types of actions that programs outside of Towline work on. The versions of
-- those that were deleted are not used again.
CREATE TABLE action_types (
    category   TEXT NOT NULL,
    provider   TEXT NOT NULL,
    version    TEXT NOT NULL,
    definition TEXT NOT NULL, -- JSON, in AWS's form
    created    TEXT NOT NULL, -- RFC 3339, UTC
    deleted    TEXT,
    PRIMARY KEY (category, provider, version)
);

-- What such programs have been told of an action that waits for them.
CREATE TABLE jobs (
    id           TEXT PRIMARY KEY,
    execution    TEXT NOT NULL,
    stage        TEXT NOT NULL,
    attempt      INTEGER NOT NULL,
    action       TEXT NOT NULL,
    status       TEXT NOT NULL, -- Queued, Dispatched, InProgress, Succeeded or Failed
    nonce        TEXT NOT NULL, -- of the last dispatch
    continuation TEXT NOT NULL DEFAULT '',
    at           TEXT NOT NULL  -- RFC 3339, UTC: of the last change
);
CREATE INDEX jobs_at ON jobs (at);

-- Webhooks that AWS's clients have set up.
CREATE TABLE aws_webhooks (
    name      TEXT PRIMARY KEY,
    path      TEXT NOT NULL UNIQUE, -- the part of its URL that nobody can guess
    sealed    BLOB NOT NULL,        -- its definition, encrypted: the secret is in it
    triggered TEXT NOT NULL DEFAULT '' -- RFC 3339, UTC: when it last started something
);

-- +goose Down
DROP TABLE aws_webhooks;
DROP TABLE jobs;
DROP TABLE action_types;
DROP TABLE resource_tags;
DROP TABLE client_requests;
DROP TABLE access_keys;
