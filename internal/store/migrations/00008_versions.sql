-- +goose Up
-- A pipeline that was deleted keeps its row: should one of its name come again,
-- its executions are numbered on, so that no ID means two executions.
ALTER TABLE pipelines ADD COLUMN deleted TEXT; -- RFC 3339, UTC; NULL while it is there
ALTER TABLE pipelines ADD COLUMN created TEXT NOT NULL DEFAULT ''; -- RFC 3339, UTC
UPDATE pipelines SET created = updated;

CREATE TABLE pipeline_versions (
    pipeline   TEXT NOT NULL REFERENCES pipelines (name),
    version    INTEGER NOT NULL,
    definition TEXT NOT NULL, -- JSON of pipeline.Pipeline
    at         TEXT NOT NULL, -- RFC 3339, UTC
    PRIMARY KEY (pipeline, version)
);
INSERT INTO pipeline_versions (pipeline, version, definition, at) SELECT name, version, definition, updated FROM pipelines;

-- +goose Down
DROP TABLE pipeline_versions;
ALTER TABLE pipelines DROP COLUMN created;
ALTER TABLE pipelines DROP COLUMN deleted;
