-- Why identifiers belong together: every link that an event taught, its refusals, and the history of merges.
-- A link of an identifier with itself is its first sighting.
CREATE TABLE IF NOT EXISTS {database}.links
(
    workspace LowCardinality(String),
    environment LowCardinality(String),
    a_id String COMMENT 'the own contact id of the first identifier',
    a_type LowCardinality(String),
    a_value String,
    b_id String,
    b_type LowCardinality(String),
    b_value String,
    event_id String,
    kind LowCardinality(String),
    at DateTime64(3, 'UTC'),
    explicit UInt8 COMMENT 'an alias or merge call',
    _topic LowCardinality(String),
    _partition Int32,
    _offset Int64,
    _index Int32,
    _stored_at DateTime64(3, 'UTC') DEFAULT now64(3),
    INDEX by_b b_id TYPE bloom_filter(0.01) GRANULARITY 1,
    INDEX by_offset _offset TYPE minmax GRANULARITY 1
)
ENGINE = ReplacingMergeTree
ORDER BY (workspace, environment, a_id, b_id, event_id)
SETTINGS non_replicated_deduplication_window = 10000;

-- Links that a guard did not let through, once for each side.
CREATE TABLE IF NOT EXISTS {database}.refused_links
(
    workspace LowCardinality(String),
    environment LowCardinality(String),
    contact_id String COMMENT 'the own contact id of the identifier on this side',
    type LowCardinality(String) COMMENT 'of the identifier on the other side',
    value String,
    reason LowCardinality(String),
    event_id String,
    at DateTime64(3, 'UTC'),
    _topic LowCardinality(String),
    _partition Int32,
    _offset Int64,
    _index Int32,
    _stored_at DateTime64(3, 'UTC') DEFAULT now64(3),
    INDEX by_offset _offset TYPE minmax GRANULARITY 1
)
ENGINE = ReplacingMergeTree
ORDER BY (workspace, environment, contact_id, type, value, event_id)
SETTINGS non_replicated_deduplication_window = 10000;

-- Every merge that ever was; contact_overrides keeps the last of each loser.
CREATE TABLE IF NOT EXISTS {database}.contact_merges
(
    workspace LowCardinality(String),
    environment LowCardinality(String),
    loser String,
    winner String,
    version UInt64,
    event_id String,
    at DateTime64(3, 'UTC'),
    _topic LowCardinality(String),
    _partition Int32,
    _offset Int64,
    _index Int32,
    INDEX by_offset _offset TYPE minmax GRANULARITY 1
)
ENGINE = ReplacingMergeTree
ORDER BY (workspace, environment, loser, version)
SETTINGS non_replicated_deduplication_window = 10000;

CREATE MATERIALIZED VIEW IF NOT EXISTS {database}.contact_merges_feed TO {database}.contact_merges AS
SELECT workspace, environment, loser, winner, version, event_id, at, _topic, _partition, _offset, _index
FROM {database}.contact_overrides;
