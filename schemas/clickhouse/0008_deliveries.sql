-- Every request to a webhook and what came of it; a delivery has as many as it took.
CREATE TABLE IF NOT EXISTS {database}.delivery_attempts
(
    workspace LowCardinality(String),
    environment LowCardinality(String),
    webhook_id LowCardinality(String),
    attempt_id String COMMENT 'as the request had it in Altacee-Delivery-Id',
    delivery_id String,
    contact_id String COMMENT 'empty: of nobody',
    event_id String COMMENT 'id of the message, as the body has it',
    type LowCardinality(String),
    attempt UInt16 COMMENT '1 is the first',
    status LowCardinality(String) COMMENT 'of the delivery after it: pending, succeeded, failed',
    url String,
    response_code UInt16 COMMENT '0: no answer',
    error String,
    duration_ms UInt32,
    at DateTime64(3, 'UTC'),
    next_attempt_at DateTime64(3, 'UTC') COMMENT '1970: there is none',
    request_headers String CODEC(ZSTD(1)),
    request_body String CODEC(ZSTD(1)) COMMENT 'its beginning',
    response_body String CODEC(ZSTD(1)) COMMENT 'its beginning',
    _topic LowCardinality(String),
    _partition Int32,
    _offset Int64,
    _index Int32,
    _stored_at DateTime64(3, 'UTC') DEFAULT now64(3),
    INDEX by_offset _offset TYPE minmax GRANULARITY 1,
    INDEX by_delivery delivery_id TYPE bloom_filter(0.01) GRANULARITY 1
)
ENGINE = ReplacingMergeTree
ORDER BY (workspace, environment, webhook_id, at, attempt_id)
TTL toDateTime(at) + INTERVAL 90 DAY
SETTINGS non_replicated_deduplication_window = 10000;
