-- +goose Up
-- Times are RFC 3339 in UTC with three digits of the second, so that they
-- compare as text.
CREATE TABLE mirrors (
    name             TEXT PRIMARY KEY,  -- of the repository
    url              TEXT NOT NULL,     -- without credentials
    forge            TEXT NOT NULL,     -- github, gitlab, gitea, bitbucket; empty when it is none of them
    sealed           BLOB NOT NULL,     -- credentials, the webhook's secrets and the API's token, encrypted
    interval_seconds INTEGER NOT NULL,
    next_look        TEXT NOT NULL,
    asked            TEXT NOT NULL,     -- when a webhook last told of a change; empty before the first
    last_look        TEXT NOT NULL,     -- empty before the first
    last_error       TEXT NOT NULL,     -- of the last look; empty when it went well
    failures         INTEGER NOT NULL,  -- looks that failed in a row
    created          TEXT NOT NULL,
    updated          TEXT NOT NULL
);
CREATE INDEX mirrors_due ON mirrors (next_look);

-- Messages of webhooks that were taken, so that none is taken twice.
CREATE TABLE deliveries (
    hook  TEXT NOT NULL,
    key   TEXT NOT NULL,
    taken TEXT NOT NULL,
    PRIMARY KEY (hook, key)
);
CREATE INDEX deliveries_taken ON deliveries (taken);

-- +goose Down
DROP TABLE deliveries;
DROP TABLE mirrors;
