-- What ids in other tables stand for: the definitions on Kafka's topic `control`, kept by the sink (`sinks/definitions/`),
-- and the types of events that are stored. A definition that was deleted keeps its row, for old rows still name it.
-- Nothing here is of a contact: erasures pass these tables by.
CREATE TABLE IF NOT EXISTS {database}.segments
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
ENGINE = ReplacingMergeTree(_version)
ORDER BY (workspace, environment, segment_id)
COMMENT 'Segments by id, with their names; read FINAL';

CREATE TABLE IF NOT EXISTS {database}.campaigns
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
ENGINE = ReplacingMergeTree(_version)
ORDER BY (workspace, environment, campaign_id)
COMMENT 'Campaigns by id, with their names and goals; read FINAL';

CREATE TABLE IF NOT EXISTS {database}.webhooks
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
ENGINE = ReplacingMergeTree(_version)
ORDER BY (workspace, environment, webhook_id)
COMMENT 'Webhooks by id, with their addresses and never their secrets; read FINAL';

CREATE TABLE IF NOT EXISTS {database}.event_types
(
    workspace LowCardinality(String) COMMENT 'the workspace that sent it',
    environment LowCardinality(String) COMMENT 'the environment within the workspace',
    type LowCardinality(String) COMMENT 'as events name it',
    kind LowCardinality(String) COMMENT 'track for events of the client''s own; identify, alias, device or contact',
    first_seen SimpleAggregateFunction(min, DateTime64(3, 'UTC')) COMMENT 'when the edge received the first one',
    last_seen SimpleAggregateFunction(max, DateTime64(3, 'UTC')) COMMENT 'when the edge received the last one, a minute late at most',
    _looked_at SimpleAggregateFunction(max, DateTime64(3, 'UTC')) COMMENT 'what was stored until then is counted in'
)
ENGINE = AggregatingMergeTree
ORDER BY (workspace, environment, type, kind)
COMMENT 'Types of events that are or were stored, with the first and the last time; read FINAL';
