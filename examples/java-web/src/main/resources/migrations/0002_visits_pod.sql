-- Older pods do not write this column: it needs a default.
ALTER TABLE visits ADD COLUMN pod text NOT NULL DEFAULT '';
