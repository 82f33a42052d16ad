-- +goose Up
-- Who is told of state changes. DBOS keeps a table "notifications" beside it.
CREATE TABLE subscriptions (
    name    TEXT PRIMARY KEY,
    kind    TEXT NOT NULL, -- webhook, slack or email
    filter  TEXT NOT NULL, -- JSON: which changes
    sealed  BLOB NOT NULL, -- where to and with which secrets, encrypted
    created TEXT NOT NULL  -- RFC 3339, UTC
);

-- What has changed, written in the transaction that changed it and taken out
-- once it has been shared out to the notifications.
CREATE TABLE outbox (
    id      INTEGER PRIMARY KEY AUTOINCREMENT,
    changes TEXT NOT NULL -- JSON of pipeline.ChangeSet
);

-- One event for one notification. Times are milliseconds since 1970.
CREATE TABLE notices (
    id           INTEGER PRIMARY KEY AUTOINCREMENT, -- in the order of the events
    notification TEXT NOT NULL REFERENCES subscriptions (name) ON DELETE CASCADE,
    execution    TEXT NOT NULL, -- within which the order is kept
    event        TEXT NOT NULL, -- its id
    title        TEXT NOT NULL, -- the event in a few words
    body         TEXT NOT NULL, -- what is sent
    status       TEXT NOT NULL, -- pending, delivered or dead
    queued       INTEGER NOT NULL,
    due          INTEGER NOT NULL, -- of the next attempt
    attempts     INTEGER NOT NULL DEFAULT 0,
    tried        INTEGER NOT NULL DEFAULT 0, -- the last attempt
    error        TEXT NOT NULL DEFAULT ''    -- why it failed
);
CREATE INDEX notices_pending ON notices (notification, execution, id) WHERE status = 'pending';
CREATE INDEX notices_ended ON notices (notification, status, tried) WHERE status <> 'pending';

-- +goose Down
DROP TABLE notices;
DROP TABLE outbox;
DROP TABLE subscriptions;
