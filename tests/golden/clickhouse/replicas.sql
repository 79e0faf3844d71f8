-- 0001_events.sql
CREATE TABLE IF NOT EXISTS headwater.events
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
ENGINE = ReplicatedReplacingMergeTree('/clickhouse/tables/{shard}/headwater/events', '{replica}', _first)
ORDER BY (workspace, environment, campaign_id, type, event_id)
SETTINGS replicated_deduplication_window = 10000, replicated_deduplication_window_seconds = 604800;

CREATE TABLE IF NOT EXISTS headwater.duplicates
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
ENGINE = ReplicatedReplacingMergeTree('/clickhouse/tables/{shard}/headwater/duplicates', '{replica}')
ORDER BY (workspace, environment, event_id, _origin_partition, _origin_offset, _origin_index)
SETTINGS replicated_deduplication_window = 10000, replicated_deduplication_window_seconds = 604800;

-- 0002_contacts.sql
CREATE TABLE IF NOT EXISTS headwater.contacts
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
ENGINE = ReplicatedReplacingMergeTree('/clickhouse/tables/{shard}/headwater/contacts', '{replica}', version)
ORDER BY (workspace, environment, contact_id)
SETTINGS replicated_deduplication_window = 10000, replicated_deduplication_window_seconds = 604800;

CREATE TABLE IF NOT EXISTS headwater.contact_overrides
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
ENGINE = ReplicatedReplacingMergeTree('/clickhouse/tables/{shard}/headwater/contact_overrides', '{replica}', version)
ORDER BY (workspace, environment, loser)
SETTINGS replicated_deduplication_window = 10000, replicated_deduplication_window_seconds = 604800;

-- 0003_memberships.sql
CREATE TABLE IF NOT EXISTS headwater.membership_changes
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
ENGINE = ReplicatedReplacingMergeTree('/clickhouse/tables/{shard}/headwater/membership_changes', '{replica}', version)
ORDER BY (workspace, environment, segment_id, contact_id, version)
SETTINGS replicated_deduplication_window = 10000, replicated_deduplication_window_seconds = 604800;

CREATE TABLE IF NOT EXISTS headwater.memberships
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
ENGINE = ReplicatedReplacingMergeTree('/clickhouse/tables/{shard}/headwater/memberships', '{replica}', version)
ORDER BY (workspace, environment, segment_id, contact_id)
SETTINGS replicated_deduplication_window = 10000, replicated_deduplication_window_seconds = 604800;

CREATE TABLE IF NOT EXISTS headwater.contact_memberships AS headwater.memberships
ENGINE = ReplicatedReplacingMergeTree('/clickhouse/tables/{shard}/headwater/contact_memberships', '{replica}', version)
ORDER BY (workspace, environment, contact_id, segment_id)
SETTINGS replicated_deduplication_window = 10000, replicated_deduplication_window_seconds = 604800;

-- 0004_quarantine.sql
CREATE TABLE IF NOT EXISTS headwater.quarantine
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
ENGINE = ReplicatedReplacingMergeTree('/clickhouse/tables/{shard}/headwater/quarantine', '{replica}', at)
ORDER BY (topic, `partition`, `offset`, `index`)
TTL toDateTime(at) + INTERVAL 30 DAY
SETTINGS replicated_deduplication_window = 10000, replicated_deduplication_window_seconds = 604800;

-- 0006_identity.sql
CREATE TABLE IF NOT EXISTS headwater.links
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
ENGINE = ReplicatedReplacingMergeTree('/clickhouse/tables/{shard}/headwater/links', '{replica}')
ORDER BY (workspace, environment, a_id, b_id, event_id)
SETTINGS replicated_deduplication_window = 10000, replicated_deduplication_window_seconds = 604800;

CREATE TABLE IF NOT EXISTS headwater.refused_links
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
ENGINE = ReplicatedReplacingMergeTree('/clickhouse/tables/{shard}/headwater/refused_links', '{replica}')
ORDER BY (workspace, environment, contact_id, type, value, event_id)
SETTINGS replicated_deduplication_window = 10000, replicated_deduplication_window_seconds = 604800;

CREATE TABLE IF NOT EXISTS headwater.contact_merges
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
ENGINE = ReplicatedReplacingMergeTree('/clickhouse/tables/{shard}/headwater/contact_merges', '{replica}')
ORDER BY (workspace, environment, loser, version)
SETTINGS replicated_deduplication_window = 10000, replicated_deduplication_window_seconds = 604800;

-- 0008_deliveries.sql
CREATE TABLE IF NOT EXISTS headwater.delivery_attempts
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
ENGINE = ReplicatedReplacingMergeTree('/clickhouse/tables/{shard}/headwater/delivery_attempts', '{replica}')
ORDER BY (workspace, environment, webhook_id, at, attempt_id)
TTL toDateTime(at) + INTERVAL 90 DAY
SETTINGS replicated_deduplication_window = 10000, replicated_deduplication_window_seconds = 604800;

-- 0009_split.sql
CREATE TABLE IF NOT EXISTS headwater.retracted_links
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
ENGINE = ReplicatedReplacingMergeTree('/clickhouse/tables/{shard}/headwater/retracted_links', '{replica}', at)
ORDER BY (workspace, environment, a_id, b_id, event_id)
SETTINGS replicated_deduplication_window = 10000, replicated_deduplication_window_seconds = 604800;

CREATE TABLE IF NOT EXISTS headwater.squashes
(
    until DateTime64(3, 'UTC') COMMENT 'overrides stored before are in the rows',
    at DateTime64(3, 'UTC') DEFAULT now64(3)
)
ENGINE = ReplicatedMergeTree('/clickhouse/tables/{shard}/headwater/squashes', '{replica}')
ORDER BY until;

-- 0010_consents.sql
CREATE TABLE IF NOT EXISTS headwater.consent_changes
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
ENGINE = ReplicatedReplacingMergeTree('/clickhouse/tables/{shard}/headwater/consent_changes', '{replica}')
ORDER BY (workspace, environment, contact_id, consent, event_id)
SETTINGS replicated_deduplication_window = 10000, replicated_deduplication_window_seconds = 604800;

-- 0015_ledger.sql
CREATE TABLE IF NOT EXISTS headwater.accepted
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
ENGINE = ReplicatedReplacingMergeTree('/clickhouse/tables/{shard}/headwater/accepted', '{replica}', events)
ORDER BY (workspace, environment, minute, source, _partition, _first)
TTL minute + INTERVAL 35 DAY;

CREATE TABLE IF NOT EXISTS headwater.event_outcomes
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
ENGINE = ReplicatedReplacingMergeTree('/clickhouse/tables/{shard}/headwater/event_outcomes', '{replica}')
ORDER BY (workspace, environment, received_at, outcome, _origin_partition, _origin_offset, _origin_index)
TTL toDateTime(received_at) + INTERVAL 35 DAY;

-- 0016_quarantine_outcomes.sql
CREATE TABLE IF NOT EXISTS headwater.quarantine_outcomes
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
ENGINE = ReplicatedReplacingMergeTree('/clickhouse/tables/{shard}/headwater/quarantine_outcomes', '{replica}', step)
ORDER BY (topic, `partition`, `offset`, `index`)
TTL toDateTime(at) + INTERVAL 60 DAY
SETTINGS replicated_deduplication_window = 10000, replicated_deduplication_window_seconds = 604800;

-- 0017_names.sql
CREATE TABLE IF NOT EXISTS headwater.segments
(
    workspace LowCardinality(String) COMMENT 'the workspace that it belongs to',
    environment LowCardinality(String) COMMENT 'the environment within the workspace',
    segment_id String COMMENT 'as memberships name it',
    name String COMMENT 'as people call it',
    kind LowCardinality(String) COMMENT 'rule or static (a list)',
    rule String COMMENT 'a JSON object, empty: a list has none' CODEC(ZSTD(1)),
    version UInt32 COMMENT 'grows with each edit of the rule',
    created_at DateTime64(3, 'UTC') COMMENT 'when it was created',
    updated_at DateTime64(3, 'UTC') COMMENT 'when it was edited last',
    deleted UInt8 COMMENT '1: it was deleted',
    _digest String COMMENT 'of the columns before it: what is the same is not written again',
    _version UInt64 COMMENT 'when the row was written, epoch milliseconds'
)
ENGINE = ReplicatedReplacingMergeTree('/clickhouse/tables/{shard}/headwater/segments', '{replica}', _version)
ORDER BY (workspace, environment, segment_id)
COMMENT 'Segments by id, with their names; read FINAL';

CREATE TABLE IF NOT EXISTS headwater.campaigns
(
    workspace LowCardinality(String) COMMENT 'the workspace that it belongs to',
    environment LowCardinality(String) COMMENT 'the environment within the workspace',
    campaign_id String COMMENT 'as events name it',
    name String COMMENT 'as people call it',
    kind LowCardinality(String) COMMENT 'standard, or trigger',
    channel LowCardinality(String) COMMENT 'email, sms, push or another',
    status LowCardinality(String) COMMENT 'as its owner set it',
    number UInt32 COMMENT 'its place in the order of creation',
    variants Array(Tuple(id String, name String)) COMMENT 'variants by id, with their names',
    goal_event String COMMENT 'type of the event that reaches the goal, empty: it has no goal',
    goal_window String COMMENT 'how long after a message the goal counts, such as 7d',
    goal_value String COMMENT 'property of that event that is summed up, empty: value',
    created_at DateTime64(3, 'UTC') COMMENT 'when it was created',
    updated_at DateTime64(3, 'UTC') COMMENT 'when it was edited last',
    deleted UInt8 COMMENT '1: it was deleted',
    _digest String COMMENT 'of the columns before it: what is the same is not written again',
    _version UInt64 COMMENT 'when the row was written, epoch milliseconds'
)
ENGINE = ReplicatedReplacingMergeTree('/clickhouse/tables/{shard}/headwater/campaigns', '{replica}', _version)
ORDER BY (workspace, environment, campaign_id)
COMMENT 'Campaigns by id, with their names and goals; read FINAL';

CREATE TABLE IF NOT EXISTS headwater.webhooks
(
    workspace LowCardinality(String) COMMENT 'the workspace that it belongs to',
    environment LowCardinality(String) COMMENT 'the environment within the workspace',
    webhook_id String COMMENT 'as delivery_attempts name it',
    url String COMMENT 'where it is sent to',
    types Array(String) COMMENT 'types of events that it is told of, *: all',
    segments Array(String) COMMENT 'segments that it is told of, empty: all',
    campaign_id String COMMENT 'the campaign that it was made for, empty: none',
    status LowCardinality(String) COMMENT 'enabled or disabled',
    reason String COMMENT 'why Headwater disabled it, empty: its owner did',
    created_at DateTime64(3, 'UTC') COMMENT 'when it was created',
    updated_at DateTime64(3, 'UTC') COMMENT 'when it was edited last',
    deleted UInt8 COMMENT '1: it was deleted',
    _digest String COMMENT 'of the columns before it: what is the same is not written again',
    _version UInt64 COMMENT 'when the row was written, epoch milliseconds'
)
ENGINE = ReplicatedReplacingMergeTree('/clickhouse/tables/{shard}/headwater/webhooks', '{replica}', _version)
ORDER BY (workspace, environment, webhook_id)
COMMENT 'Webhooks by id, with their addresses and never their secrets; read FINAL';

CREATE TABLE IF NOT EXISTS headwater.event_types
(
    workspace LowCardinality(String) COMMENT 'the workspace that sent it',
    environment LowCardinality(String) COMMENT 'the environment within the workspace',
    type LowCardinality(String) COMMENT 'as events name it',
    kind LowCardinality(String) COMMENT 'track for events of the client''s own; identify, alias, device or contact',
    first_seen SimpleAggregateFunction(min, DateTime64(3, 'UTC')) COMMENT 'when the edge received the first one',
    last_seen SimpleAggregateFunction(max, DateTime64(3, 'UTC')) COMMENT 'when the edge received the last one, a minute late at most',
    _looked_at SimpleAggregateFunction(max, DateTime64(3, 'UTC')) COMMENT 'what was stored until then is counted in'
)
ENGINE = ReplicatedAggregatingMergeTree('/clickhouse/tables/{shard}/headwater/event_types', '{replica}')
ORDER BY (workspace, environment, type, kind)
COMMENT 'Types of events that are or were stored, with the first and the last time; read FINAL';

-- 0019_removals.sql
CREATE TABLE IF NOT EXISTS headwater.removals
(
    workspace LowCardinality(String) COMMENT 'whose rows they were',
    environment LowCardinality(String) DEFAULT '' COMMENT 'empty: those of all its environments',
    `table` LowCardinality(String) COMMENT 'the table that they were in',
    before DateTime64(3, 'UTC') COMMENT 'rows from before went, by when they were received; deliveries by when they were sent',
    `rows` UInt64 COMMENT 'how many there were',
    at DateTime64(3, 'UTC') DEFAULT now64(3) COMMENT 'when it began'
)
ENGINE = ReplicatedReplacingMergeTree('/clickhouse/tables/{shard}/headwater/removals', '{replica}', at)
ORDER BY (workspace, `table`, before)
COMMENT 'Rows that went because their workspace keeps them no longer';

-- 0020_typed_columns.sql
CREATE TABLE IF NOT EXISTS headwater.typed_columns
(
    workspace LowCardinality(String) COMMENT 'the workspace that asked for it',
    environment LowCardinality(String) COMMENT 'the environment within the workspace',
    property String COMMENT 'a property of events, with dots: a path',
    type LowCardinality(String) COMMENT 'string, number, boolean or time: the map that has it',
    created_at DateTime64(3, 'UTC') COMMENT 'when it was asked for',
    filled_at DateTime64(3, 'UTC') COMMENT 'since when all stored events have it',
    deleted UInt8 COMMENT '1: it is a typed column no more',
    _version UInt64 COMMENT 'when the row was written, epoch milliseconds'
)
ENGINE = ReplicatedReplacingMergeTree('/clickhouse/tables/{shard}/headwater/typed_columns', '{replica}', _version)
ORDER BY (workspace, environment, property)
COMMENT 'Properties that all stored events have as typed columns; read FINAL';
