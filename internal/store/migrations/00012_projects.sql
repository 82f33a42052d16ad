-- +goose Up
CREATE TABLE projects (
    name       TEXT PRIMARY KEY,
    definition TEXT NOT NULL,              -- JSON, in CodeBuild's form
    builds     INTEGER NOT NULL DEFAULT 0, -- number of the last one
    created    TEXT NOT NULL,              -- RFC 3339, UTC, as the one below
    updated    TEXT NOT NULL
);

CREATE TABLE builds (
    sequence INTEGER PRIMARY KEY AUTOINCREMENT, -- the order in which they were asked for
    id       TEXT NOT NULL UNIQUE,              -- project:UUID
    project  TEXT NOT NULL,                     -- which may be gone
    number   INTEGER NOT NULL,
    ended    INTEGER NOT NULL DEFAULT 0,        -- 1 when nothing of it runs or waits any more
    tested   INTEGER NOT NULL DEFAULT 0,        -- 1 when it has test reports
    record   TEXT NOT NULL                      -- JSON
);
CREATE INDEX builds_project ON builds (project, sequence);
CREATE INDEX builds_unended ON builds (sequence) WHERE ended = 0;
CREATE INDEX builds_tested ON builds (sequence) WHERE tested = 1;

-- +goose Down
DROP TABLE builds;
DROP TABLE projects;
