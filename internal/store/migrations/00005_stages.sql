-- +goose Up
-- Executions may also be stopping while they are unfinished, and those that
-- wait for somebody outside are given up when their time is over.
DROP INDEX executions_unfinished;
CREATE INDEX executions_unfinished ON executions (pipeline, number) WHERE status IN ('InProgress', 'Stopping');
ALTER TABLE executions ADD COLUMN due TEXT; -- RFC 3339, UTC; NULL when nobody is waited for
CREATE INDEX executions_due ON executions (due) WHERE due IS NOT NULL;

-- What the state machine knows of a stage beyond the unfinished executions.
CREATE TABLE stages (
    pipeline  TEXT NOT NULL REFERENCES pipelines (name),
    stage     TEXT NOT NULL,
    latest    TEXT NOT NULL, -- execution that entered it last
    succeeded TEXT,          -- execution that succeeded in it last
    PRIMARY KEY (pipeline, stage)
);
INSERT INTO stages (pipeline, stage, latest, succeeded)
    SELECT e.pipeline, s.value ->> 'name', e.pipeline || '-' || MAX(e.number), e.pipeline || '-' || MAX(CASE WHEN s.value ->> 'status' = 'Succeeded' THEN e.number END)
    FROM executions e, json_each(e.state, '$.stages') s
    WHERE s.value ->> 'attempt' > 0
    GROUP BY e.pipeline, s.value ->> 'name';

-- The transitions that somebody has closed.
CREATE TABLE transitions (
    pipeline TEXT NOT NULL REFERENCES pipelines (name),
    stage    TEXT NOT NULL,
    type     TEXT NOT NULL, -- Inbound or Outbound
    reason   TEXT NOT NULL,
    closed_by TEXT NOT NULL,
    at       TEXT NOT NULL, -- RFC 3339, UTC
    PRIMARY KEY (pipeline, stage, type)
);

-- A filter has become a list of filters, with what it includes and excludes.
UPDATE pipelines SET definition = json_set(definition, '$.on.push',
    json_array(json_object('branches', json_object('includes', json(coalesce(json_extract(definition, '$.on.push.branches'), '["main"]'))))))
    WHERE json_type(definition, '$.on.push') = 'object';
UPDATE executions SET state = json_set(state, '$.definition.on.push',
    json_array(json_object('branches', json_object('includes', json(coalesce(json_extract(state, '$.definition.on.push.branches'), '["main"]'))))))
    WHERE json_type(state, '$.definition.on.push') = 'object';

-- +goose Down
UPDATE executions SET state = json_set(state, '$.definition.on.push',
    json_object('branches', json(coalesce(json_extract(state, '$.definition.on.push[0].branches.includes'), '["main"]'))));
UPDATE pipelines SET definition = json_set(definition, '$.on.push',
    json_object('branches', json(coalesce(json_extract(definition, '$.on.push[0].branches.includes'), '["main"]'))));
DROP TABLE transitions;
DROP TABLE stages;
DROP INDEX executions_due;
ALTER TABLE executions DROP COLUMN due;
DROP INDEX executions_unfinished;
CREATE INDEX executions_unfinished ON executions (pipeline, number) WHERE status = 'InProgress';
