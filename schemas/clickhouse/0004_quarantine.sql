-- What could not be processed: why, and the original bytes.
CREATE TABLE IF NOT EXISTS {database}.quarantine
(
    topic LowCardinality(String) COMMENT 'of the record that could not be processed, as in the next three',
    `partition` Int32,
    `offset` Int64,
    `index` Int32 COMMENT 'place in the record, -1: the whole record',
    workspace LowCardinality(String) COMMENT 'empty where the bytes do not say',
    event_id String,
    reason LowCardinality(String),
    detail String,
    at DateTime64(3, 'UTC'),
    key String,
    payload String CODEC(ZSTD(1)),
    _topic LowCardinality(String),
    _partition Int32,
    _offset Int64,
    _index Int32,
    _stored_at DateTime64(3, 'UTC') DEFAULT now64(3),
    INDEX by_offset _offset TYPE minmax GRANULARITY 1
)
ENGINE = ReplacingMergeTree(at)
ORDER BY (topic, `partition`, `offset`, `index`)
TTL toDateTime(at) + INTERVAL 30 DAY
SETTINGS non_replicated_deduplication_window = 10000;
