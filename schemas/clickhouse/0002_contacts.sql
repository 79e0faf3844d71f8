-- The newest snapshot of every contact; one that merged into another keeps its row and says into which.
CREATE TABLE IF NOT EXISTS {database}.contacts
(
    workspace LowCardinality(String),
    environment LowCardinality(String),
    contact_id String,
    email String COMMENT 'empty: none, as in the next two',
    phone String,
    external_id String,
    anonymous_ids Array(String),
    identifiers Array(Tuple(type String, value String)),
    attributes String COMMENT 'a JSON object' CODEC(ZSTD(1)),
    consents String COMMENT 'a JSON object' CODEC(ZSTD(1)),
    devices String COMMENT 'a JSON array' CODEC(ZSTD(1)),
    merged_into String COMMENT 'empty: it is a contact of its own',
    created_at DateTime64(3, 'UTC'),
    updated_at DateTime64(3, 'UTC'),
    version UInt64,
    _topic LowCardinality(String),
    _partition Int32,
    _offset Int64,
    _index Int32,
    _stored_at DateTime64(3, 'UTC') DEFAULT now64(3),
    INDEX by_offset _offset TYPE minmax GRANULARITY 1,
    INDEX by_update updated_at TYPE minmax GRANULARITY 1
)
ENGINE = ReplacingMergeTree(version)
ORDER BY (workspace, environment, contact_id)
SETTINGS non_replicated_deduplication_window = 10000;

-- loser -> winner of every merge; the highest version of a loser holds, and where a split gave it back its own id
-- the winner is itself. A winner never loses without its losers being told, so one look-up is enough.
CREATE TABLE IF NOT EXISTS {database}.contact_overrides
(
    workspace LowCardinality(String),
    environment LowCardinality(String),
    loser String,
    winner String,
    version UInt64,
    identifier_type LowCardinality(String) COMMENT 'the identifier whose own contact id the loser is',
    identifier_value String,
    event_id String COMMENT 'the event that taught it',
    at DateTime64(3, 'UTC'),
    _topic LowCardinality(String),
    _partition Int32,
    _offset Int64,
    _index Int32,
    _stored_at DateTime64(3, 'UTC') DEFAULT now64(3),
    INDEX by_winner winner TYPE bloom_filter(0.01) GRANULARITY 1,
    INDEX by_offset _offset TYPE minmax GRANULARITY 1
)
ENGINE = ReplacingMergeTree(version)
ORDER BY (workspace, environment, loser)
SETTINGS non_replicated_deduplication_window = 10000;
