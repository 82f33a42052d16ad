-- +goose Up
-- The status of an execution that the forge of its repository has been told.
ALTER TABLE executions ADD COLUMN told TEXT NOT NULL DEFAULT '';

-- +goose Down
ALTER TABLE executions DROP COLUMN told;
