-- +goose Up
-- 1 for a batch of builds; its builds have its id.
ALTER TABLE builds ADD COLUMN batch INTEGER NOT NULL DEFAULT 0;
ALTER TABLE builds ADD COLUMN part_of TEXT NOT NULL DEFAULT '';
ALTER TABLE builds ADD COLUMN status TEXT NOT NULL DEFAULT '';
UPDATE builds SET batch = json_extract(record, '$.batch') IS NOT NULL, status = coalesce(json_extract(record, '$.status'), '');
CREATE INDEX builds_batches ON builds (sequence) WHERE batch = 1;
CREATE INDEX builds_parts ON builds (part_of) WHERE part_of <> '';

-- Number of the last batch.
ALTER TABLE projects ADD COLUMN batches INTEGER NOT NULL DEFAULT 0;
UPDATE projects SET batches = (SELECT coalesce(max(number), 0) FROM builds WHERE batch = 1 AND project = name);

-- Groups of reports, as builds and AWS's clients make them.
CREATE TABLE report_groups (
    name       TEXT PRIMARY KEY,
    kind       TEXT NOT NULL, -- TEST or CODE_COVERAGE
    definition TEXT NOT NULL, -- JSON
    created    TEXT NOT NULL, -- RFC 3339, UTC, as the one below
    updated    TEXT NOT NULL
);

-- What the reports of builds said, in short: whole they are in test_runs.
CREATE TABLE reports (
    sequence INTEGER PRIMARY KEY AUTOINCREMENT, -- the order in which builds wrote them
    id       TEXT NOT NULL UNIQUE,              -- group:UUID of the build
    family   TEXT NOT NULL,                     -- the group, which may be gone
    build    TEXT NOT NULL,
    status   TEXT NOT NULL,
    record   TEXT NOT NULL                      -- JSON
);
CREATE INDEX reports_family ON reports (family, sequence);
CREATE INDEX reports_build ON reports (build);

-- +goose Down
DROP TABLE reports;
DROP TABLE report_groups;
ALTER TABLE projects DROP COLUMN batches;
DROP INDEX builds_parts;
DROP INDEX builds_batches;
ALTER TABLE builds DROP COLUMN status;
ALTER TABLE builds DROP COLUMN part_of;
ALTER TABLE builds DROP COLUMN batch;
