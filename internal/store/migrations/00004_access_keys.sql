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

-- +goose Down
DROP TABLE resource_tags;
DROP TABLE client_requests;
DROP TABLE access_keys;
