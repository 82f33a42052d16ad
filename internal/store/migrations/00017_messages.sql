-- +goose Up
-- What webhooks have told and is still to be acted on. Times as in mirrors.
CREATE TABLE messages (
    hook     TEXT NOT NULL,
    key      TEXT NOT NULL,    -- the first of those in deliveries
    text     BLOB NOT NULL,
    taken    TEXT NOT NULL,
    due      TEXT NOT NULL,    -- when it is acted on, at first or again
    failures INTEGER NOT NULL, -- in a row
    PRIMARY KEY (hook, key)
);
CREATE INDEX messages_due ON messages (due);

-- 1 for a mirror that was made by itself, since a pipeline takes its source from
-- it: its own towline.yaml is not obeyed.
ALTER TABLE mirrors ADD COLUMN source_only INTEGER NOT NULL DEFAULT 0;

-- +goose Down
ALTER TABLE mirrors DROP COLUMN source_only;
DROP TABLE messages;
