-- +goose Up
-- What the reports of builds said, so that tests can be compared over time.
CREATE TABLE test_runs (
    execution TEXT    NOT NULL,
    stage     TEXT    NOT NULL,
    attempt   INTEGER NOT NULL,
    action    TEXT    NOT NULL,
    pipeline  TEXT    NOT NULL,
    branch    TEXT    NOT NULL,
    revision  TEXT    NOT NULL, -- commit
    at        TEXT    NOT NULL, -- when it ended: sorts as text, UTC
    totals    TEXT    NOT NULL, -- JSON
    reports   BLOB,             -- JSON, gzip; NULL when the run is old
    PRIMARY KEY (execution, stage, attempt, action)
);
CREATE INDEX test_runs_of_action ON test_runs (pipeline, stage, action, at);

-- +goose Down
DROP TABLE test_runs;
