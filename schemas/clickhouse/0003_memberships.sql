-- Every change of a membership, once; a repeated change has the same version.
CREATE TABLE IF NOT EXISTS {database}.membership_changes
(
    workspace LowCardinality(String),
    environment LowCardinality(String),
    segment_id LowCardinality(String),
    contact_id String,
    member UInt8,
    at DateTime64(3, 'UTC'),
    segment_version UInt32,
    reason String,
    event_id String COMMENT 'the event that caused it, empty: time or a new rule did',
    version UInt64,
    _topic LowCardinality(String),
    _partition Int32,
    _offset Int64,
    _index Int32,
    _stored_at DateTime64(3, 'UTC') DEFAULT now64(3),
    INDEX by_offset _offset TYPE minmax GRANULARITY 1
)
ENGINE = ReplacingMergeTree(version)
ORDER BY (workspace, environment, segment_id, contact_id, version)
SETTINGS non_replicated_deduplication_window = 10000;

-- The newest of them: the contacts of a segment.
CREATE TABLE IF NOT EXISTS {database}.memberships
(
    workspace LowCardinality(String),
    environment LowCardinality(String),
    segment_id LowCardinality(String),
    contact_id String,
    member UInt8,
    at DateTime64(3, 'UTC'),
    segment_version UInt32,
    version UInt64,
    _topic LowCardinality(String),
    _partition Int32,
    _offset Int64,
    _index Int32,
    INDEX by_offset _offset TYPE minmax GRANULARITY 1
)
ENGINE = ReplacingMergeTree(version)
ORDER BY (workspace, environment, segment_id, contact_id)
SETTINGS non_replicated_deduplication_window = 10000;

CREATE MATERIALIZED VIEW IF NOT EXISTS {database}.memberships_feed TO {database}.memberships AS
SELECT workspace, environment, segment_id, contact_id, member, at, segment_version, version,
       _topic, _partition, _offset, _index
FROM {database}.membership_changes;

-- The same the other way round: the segments of a contact.
CREATE TABLE IF NOT EXISTS {database}.contact_memberships AS {database}.memberships
ENGINE = ReplacingMergeTree(version)
ORDER BY (workspace, environment, contact_id, segment_id)
SETTINGS non_replicated_deduplication_window = 10000;

CREATE MATERIALIZED VIEW IF NOT EXISTS {database}.contact_memberships_feed TO {database}.contact_memberships AS
SELECT workspace, environment, segment_id, contact_id, member, at, segment_version, version,
       _topic, _partition, _offset, _index
FROM {database}.membership_changes;
