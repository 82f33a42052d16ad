-- +goose Up
CREATE TABLE clusters (
    name    TEXT PRIMARY KEY,
    sealed  BLOB NOT NULL, -- the credential, encrypted: nothing of it is in the clear
    created TEXT NOT NULL, -- RFC 3339, UTC
    updated TEXT NOT NULL
);

-- +goose Down
DROP TABLE clusters;
