-- Every accepted event, once: rows of one key collapse, and of two the one that was received first stays.
--
-- 1. No PARTITION BY: a block of the sink is one part, so an insert is there whole or not at all.
-- 2. `_topic`, `_partition`, `_offset`, `_index` say where a row came from: the data is the sink's checkpoint.
--    `_origin_*` is its place on `events`, from which repeats by the stages before are known.
-- 3. The key starts with what campaign figures select by; counts use uniqExact(event_id) or the view below.
CREATE TABLE IF NOT EXISTS {database}.events
(
    workspace LowCardinality(String),
    environment LowCardinality(String),
    event_id String,
    contact_id String COMMENT 'as it was when the event was stored, empty: nobody; events_resolved says whose it is today',
    type LowCardinality(String),
    timestamp DateTime64(3, 'UTC') COMMENT 'the client''s time' CODEC(Delta, ZSTD(1)),
    received_at DateTime64(3, 'UTC') COMMENT 'the edge''s time' CODEC(Delta, ZSTD(1)),
    properties String COMMENT 'a JSON object' CODEC(ZSTD(1)),
    campaign_id String,
    message_id String,
    variant LowCardinality(String),
    channel LowCardinality(String),
    context String COMMENT 'a JSON object, empty: none' CODEC(ZSTD(1)),
    source LowCardinality(String) COMMENT 'the dialect',
    identifiers Array(Tuple(type String, value String)),
    _kind LowCardinality(String) COMMENT 'track, identify, alias, device or contact',
    _key_id LowCardinality(String),
    _task_id String,
    _topic LowCardinality(String),
    _partition Int32,
    _offset Int64,
    _index Int32,
    _origin_partition Int32,
    _origin_offset Int64,
    _origin_index Int32,
    _stored_at DateTime64(3, 'UTC') DEFAULT now64(3),
    _first UInt64 MATERIALIZED 18446744073709551615 - toUnixTimestamp64Milli(received_at),
    INDEX by_contact contact_id TYPE bloom_filter(0.01) GRANULARITY 1,
    INDEX by_event event_id TYPE bloom_filter(0.01) GRANULARITY 1,
    INDEX by_task _task_id TYPE bloom_filter(0.01) GRANULARITY 1,
    INDEX by_offset _offset TYPE minmax GRANULARITY 1,
    INDEX by_stored _stored_at TYPE minmax GRANULARITY 1
)
ENGINE = ReplacingMergeTree(_first)
ORDER BY (workspace, environment, campaign_id, type, event_id)
SETTINGS non_replicated_deduplication_window = 10000;

-- What a client sent again while the first was still remembered; never counted as an event.
CREATE TABLE IF NOT EXISTS {database}.duplicates
(
    workspace LowCardinality(String),
    environment LowCardinality(String),
    event_id String,
    received_at DateTime64(3, 'UTC'),
    source LowCardinality(String),
    _key_id LowCardinality(String),
    _task_id String,
    _topic LowCardinality(String),
    _partition Int32,
    _offset Int64,
    _index Int32,
    _origin_partition Int32,
    _origin_offset Int64,
    _origin_index Int32,
    _stored_at DateTime64(3, 'UTC') DEFAULT now64(3),
    INDEX by_task _task_id TYPE bloom_filter(0.01) GRANULARITY 1
)
ENGINE = ReplacingMergeTree
ORDER BY (workspace, environment, event_id, _origin_partition, _origin_offset, _origin_index)
SETTINGS non_replicated_deduplication_window = 10000;
