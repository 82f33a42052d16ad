-- +goose Up
CREATE TABLE pipelines (
    name        TEXT PRIMARY KEY,
    repository  TEXT NOT NULL,
    definition  TEXT NOT NULL,              -- JSON of pipeline.Pipeline
    version     INTEGER NOT NULL,           -- grows when the definition changes
    executions  INTEGER NOT NULL DEFAULT 0, -- how many were started: the last one's number
    updated     TEXT NOT NULL               -- RFC 3339, UTC
);

CREATE TABLE executions (
    id       TEXT PRIMARY KEY,
    pipeline TEXT NOT NULL REFERENCES pipelines (name),
    number   INTEGER NOT NULL,
    status   TEXT NOT NULL,
    state    TEXT NOT NULL,                 -- JSON of pipeline.Execution
    UNIQUE (pipeline, number)
);
CREATE INDEX executions_unfinished ON executions (pipeline, number) WHERE status = 'InProgress';

-- The commit of each branch that has been acted on, so that a push which came
-- in just before a crash is noticed at the next start.
CREATE TABLE heads (
    repository TEXT NOT NULL,
    branch     TEXT NOT NULL,
    commit_id  TEXT NOT NULL,
    PRIMARY KEY (repository, branch)
);

-- +goose Down
DROP TABLE heads;
DROP TABLE executions;
DROP TABLE pipelines;
