-- What was taken back of the evidence in `links`: an event of a pair, or with an empty event id all until then.
CREATE TABLE IF NOT EXISTS {database}.retracted_links
(
    workspace LowCardinality(String),
    environment LowCardinality(String),
    a_id String COMMENT 'the own contact ids of the pair, the smaller one first',
    b_id String,
    event_id String COMMENT 'empty: whatever tied the pair until then',
    at DateTime64(3, 'UTC'),
    _topic LowCardinality(String),
    _partition Int32,
    _offset Int64,
    _index Int32,
    _stored_at DateTime64(3, 'UTC') DEFAULT now64(3),
    INDEX by_offset _offset TYPE minmax GRANULARITY 1
)
ENGINE = ReplacingMergeTree(at)
ORDER BY (workspace, environment, a_id, b_id, event_id)
SETTINGS non_replicated_deduplication_window = 10000;

-- A contact's history names those that left it too.
ALTER TABLE {database}.contact_merges
    ADD INDEX IF NOT EXISTS by_winner winner TYPE bloom_filter(0.01) GRANULARITY 1;
