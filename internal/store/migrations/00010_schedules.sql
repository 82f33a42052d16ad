-- +goose Up
-- The last time of each schedule that has been acted on, so that none is acted
-- on twice.
CREATE TABLE schedules (
    pipeline TEXT NOT NULL REFERENCES pipelines (name),
    schedule TEXT NOT NULL, -- its cron expression and time zone
    last     TEXT NOT NULL, -- RFC 3339, UTC
    PRIMARY KEY (pipeline, schedule)
);

-- +goose Down
DROP TABLE schedules;
