-- +goose Up
-- What builds get to know by its name.
CREATE TABLE secrets (
    name    TEXT PRIMARY KEY,
    users   TEXT NOT NULL, -- JSON: patterns of the pipelines and projects that may use it
    created TEXT NOT NULL  -- RFC 3339, UTC
);

-- The newest version is the value; some older ones stay.
CREATE TABLE secret_versions (
    name    TEXT NOT NULL REFERENCES secrets (name) ON DELETE CASCADE,
    version INTEGER NOT NULL, -- from 1
    sealed  BLOB NOT NULL,    -- the value, encrypted
    created TEXT NOT NULL,    -- RFC 3339, UTC
    PRIMARY KEY (name, version)
);

-- The keys that attestations of images are signed with. The newest signs.
CREATE TABLE attest_keys (
    id      TEXT PRIMARY KEY, -- the SHA-256 of the public key
    number  INTEGER NOT NULL UNIQUE, -- from 1, in the order of their making
    public  BLOB NOT NULL,    -- PKIX, DER
    sealed  BLOB NOT NULL,    -- the private key, encrypted
    created TEXT NOT NULL     -- RFC 3339, UTC
);

-- +goose Down
DROP TABLE attest_keys;
DROP TABLE secret_versions;
DROP TABLE secrets;
