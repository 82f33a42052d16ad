-- +goose Up
-- How pipelines stand: the newest execution of each and those that have not
-- ended, in few bytes, so that a page of all pipelines need not read states.
-- An older one that has ended is not looked at; it goes with the next end.
CREATE TABLE standings (
    pipeline  TEXT NOT NULL REFERENCES pipelines (name),
    number    INTEGER NOT NULL, -- of the execution
    status    TEXT NOT NULL,
    waits     INTEGER NOT NULL, -- 1 when nothing of it runs though it has not ended
    started   INTEGER NOT NULL, -- milliseconds since 1970
    execution TEXT NOT NULL,    -- JSON of pipeline.Execution, without what is seen in the execution alone
    PRIMARY KEY (pipeline, number)
);
CREATE INDEX standings_ranked ON standings (pipeline, number, status, waits, started);
-- Their definitions are large and not read for it.
CREATE INDEX pipelines_listed ON pipelines (name, repository, deleted);
INSERT INTO standings (pipeline, number, status, waits, started, execution)
    SELECT e.pipeline, e.number, e.status,
        e.status IN ('InProgress', 'Stopping') AND (e.due IS NOT NULL OR NOT EXISTS (SELECT 1 FROM json_each(e.state, '$.stages') s WHERE s.value ->> 'status' = 'InProgress')),
        coalesce(CAST(strftime('%s', e.state ->> 'started') AS INTEGER) * 1000, 0), e.state
    FROM executions e
    WHERE e.status IN ('InProgress', 'Stopping') OR e.number = (SELECT max(number) FROM executions newest WHERE newest.pipeline = e.pipeline);

-- +goose Down
DROP INDEX pipelines_listed;
DROP TABLE standings;
