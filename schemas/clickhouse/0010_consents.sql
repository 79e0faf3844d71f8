-- Every consent that an event gave, withdrew or removed, with its time; the contact's own row says what holds today.
CREATE TABLE IF NOT EXISTS {database}.consent_changes
(
    workspace LowCardinality(String),
    environment LowCardinality(String),
    contact_id String COMMENT 'as it was when the event was applied',
    consent LowCardinality(String),
    state LowCardinality(String) COMMENT 'given, withdrawn or removed',
    at DateTime64(3, 'UTC') COMMENT 'the client''s time, never after the receipt',
    event_id String,
    _topic LowCardinality(String),
    _partition Int32,
    _offset Int64,
    _index Int32,
    _stored_at DateTime64(3, 'UTC') DEFAULT now64(3),
    INDEX by_offset _offset TYPE minmax GRANULARITY 1
)
ENGINE = ReplacingMergeTree
ORDER BY (workspace, environment, contact_id, consent, event_id)
SETTINGS non_replicated_deduplication_window = 10000;
