-- +goose Up
-- People who are signed in to the dashboard. Times as in sessions.
CREATE TABLE sign_ins (
    token      BLOB PRIMARY KEY, -- SHA-256 of what the browser holds
    name       TEXT NOT NULL,    -- as they call themselves
    credential TEXT NOT NULL,    -- id of an access key, or the SHA-256 of the admin token in hex
    created    TEXT NOT NULL,
    expires    TEXT NOT NULL
);
CREATE INDEX sign_ins_expires ON sign_ins (expires);

-- +goose Down
DROP TABLE sign_ins;
