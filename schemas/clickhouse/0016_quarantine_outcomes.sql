-- What became of records in quarantine: replayed, once, or discarded. A replay is announced before it is sent, so that
-- one that a crash interrupts is looked for in Kafka and not sent twice.
CREATE TABLE IF NOT EXISTS {database}.quarantine_outcomes
(
    topic LowCardinality(String) COMMENT 'of the record in quarantine, as in the next three',
    `partition` Int32,
    `offset` Int64,
    `index` Int32,
    workspace LowCardinality(String),
    outcome LowCardinality(String) COMMENT 'replaying, replayed or discarded',
    job String COMMENT 'the request that it was done for',
    replays UInt8 COMMENT 'how often the data has been replayed, this time included: a replay that fails is a new record',
    replay_partition Int32 COMMENT 'where the replay stands in the topic',
    replay_offset Int64 COMMENT 'replaying: from where on it may stand there',
    at DateTime64(3, 'UTC'),
    step UInt8 COMMENT '1: announced, 2: done'
)
ENGINE = ReplacingMergeTree(step)
ORDER BY (topic, `partition`, `offset`, `index`)
TTL toDateTime(at) + INTERVAL 60 DAY
SETTINGS non_replicated_deduplication_window = 10000;
