-- What the ledger (`GET /v1/ledger`) counts by: every place on `events` (partition, offset, index) ends in exactly one of
-- `events`, `duplicates` and `event_outcomes`.
--
-- How many events stand on Kafka's topic `events`, by minute of receipt: of each run of offsets one row.
-- A row without a workspace says from which minute on all of them were counted: Kafka had what is older no longer.
CREATE TABLE IF NOT EXISTS {database}.accepted
(
    workspace LowCardinality(String),
    environment LowCardinality(String),
    minute DateTime('UTC') COMMENT 'of receipt',
    source LowCardinality(String) COMMENT 'the dialect',
    events UInt64,
    _partition Int32,
    _first Int64 COMMENT 'offsets of the run: the first and the last one',
    _last Int64
)
ENGINE = ReplacingMergeTree(events)
ORDER BY (workspace, environment, minute, source, _partition, _first)
TTL minute + INTERVAL 35 DAY;

-- Accepted events that are not stored, and why: their contact was erased, or they could not be processed.
-- Nothing here tells whose they were.
CREATE TABLE IF NOT EXISTS {database}.event_outcomes
(
    workspace LowCardinality(String),
    environment LowCardinality(String),
    source LowCardinality(String) COMMENT 'the dialect',
    received_at DateTime64(3, 'UTC'),
    outcome LowCardinality(String) COMMENT 'suppressed or quarantined',
    _origin_partition Int32 COMMENT 'the place on events, as in the next two',
    _origin_offset Int64,
    _origin_index Int32,
    _topic LowCardinality(String),
    _partition Int32,
    _offset Int64,
    _index Int32,
    INDEX by_offset _offset TYPE minmax GRANULARITY 1
)
ENGINE = ReplacingMergeTree
ORDER BY (workspace, environment, received_at, outcome, _origin_partition, _origin_offset, _origin_index)
TTL toDateTime(received_at) + INTERVAL 35 DAY;

ALTER TABLE {database}.events
    ADD INDEX IF NOT EXISTS by_received received_at TYPE minmax GRANULARITY 1;

ALTER TABLE {database}.duplicates
    ADD INDEX IF NOT EXISTS by_received received_at TYPE minmax GRANULARITY 1;
