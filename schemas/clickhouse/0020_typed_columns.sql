-- Properties that a workspace asked for as typed columns (`PUT /v1/typed-columns/{property}`). The table is everybody's,
-- so they are keys of four maps and not columns by their names: a name stands in the rows of its own workspace only.
ALTER TABLE {database}.events
    ADD COLUMN IF NOT EXISTS strings Map(LowCardinality(String), Nullable(String)) COMMENT 'typed columns: texts by property' CODEC(ZSTD(1)),
    ADD COLUMN IF NOT EXISTS numbers Map(LowCardinality(String), Nullable(Float64)) COMMENT 'typed columns: numbers by property' CODEC(ZSTD(1)),
    ADD COLUMN IF NOT EXISTS booleans Map(LowCardinality(String), Nullable(Bool)) COMMENT 'typed columns: true and false by property' CODEC(ZSTD(1)),
    ADD COLUMN IF NOT EXISTS times Map(LowCardinality(String), Nullable(DateTime64(3, 'UTC'))) COMMENT 'typed columns: times by property' CODEC(ZSTD(1));

-- Kept by the sink (`sinks/maintenance/typed_columns.py`): a row says that all stored events have the property.
CREATE TABLE IF NOT EXISTS {database}.typed_columns
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
ENGINE = ReplacingMergeTree(_version)
ORDER BY (workspace, environment, property)
COMMENT 'Properties that all stored events have as typed columns; read FINAL';
