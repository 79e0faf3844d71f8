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

-- What the squash job has folded into `contact_id`, and until when it knew the overrides.
ALTER TABLE {database}.events
    ADD COLUMN IF NOT EXISTS _squashed UInt8 DEFAULT 0
        COMMENT '1: contact_id is what contact_overrides said at the latest squash' AFTER _stored_at;

ALTER TABLE {database}.events
    ADD INDEX IF NOT EXISTS by_squashed _squashed TYPE minmax GRANULARITY 1;

ALTER TABLE {database}.contact_overrides
    ADD INDEX IF NOT EXISTS by_stored _stored_at TYPE minmax GRANULARITY 1;

CREATE TABLE IF NOT EXISTS {database}.squashes
(
    until DateTime64(3, 'UTC') COMMENT 'overrides stored before are in the rows',
    at DateTime64(3, 'UTC') DEFAULT now64(3)
)
ENGINE = MergeTree
ORDER BY until;

-- As before; of the overrides only those are looked up that the rows do not know yet.
CREATE OR REPLACE VIEW {database}.events_resolved AS
SELECT
    e.workspace AS workspace,
    e.environment AS environment,
    e.event_id AS event_id,
    if(o.winner = '', e.contact_id, o.winner) AS contact_id,
    e.contact_id AS stored_contact_id,
    e.own_contact_id AS own_contact_id,
    e.type AS type,
    e.timestamp AS timestamp,
    e.received_at AS received_at,
    e.properties AS properties,
    e.campaign_id AS campaign_id,
    e.message_id AS message_id,
    e.variant AS variant,
    e.channel AS channel,
    e.context AS context,
    e.source AS source,
    e.identifiers AS identifiers,
    e._kind AS _kind
FROM {database}.events AS e FINAL
LEFT ANY JOIN
(
    SELECT workspace, environment, loser, winner
    FROM {database}.contact_overrides FINAL
    WHERE _stored_at >= (SELECT max(until) FROM {database}.squashes)
       OR loser IN (
           SELECT own_contact_id FROM {database}.events
           -- before the first squash all overrides are looked up anyway
           WHERE NOT _squashed AND (SELECT count() FROM {database}.squashes) > 0
       )
) AS o ON o.workspace = e.workspace AND o.environment = e.environment AND o.loser = e.own_contact_id;
