-- What the retention of workspaces has removed (`sinks/maintenance/retention.py`): `GET /v1/events/{id}` says so of an event
-- that is not there.
CREATE TABLE IF NOT EXISTS {database}.removals
(
    workspace LowCardinality(String) COMMENT 'whose rows they were',
    environment LowCardinality(String) DEFAULT '' COMMENT 'empty: those of all its environments',
    `table` LowCardinality(String) COMMENT 'the table that they were in',
    before DateTime64(3, 'UTC') COMMENT 'rows from before went, by when they were received; deliveries by when they were sent',
    `rows` UInt64 COMMENT 'how many there were',
    at DateTime64(3, 'UTC') DEFAULT now64(3) COMMENT 'when it began'
)
ENGINE = ReplacingMergeTree(at)
ORDER BY (workspace, `table`, before)
COMMENT 'Rows that went because their workspace keeps them no longer';
