-- Whose an event is follows from the identifier it came with, whatever that was merged into when it was stored:
-- `own_contact_id` is that identifier's own contact id, so a split moves events without a row being written again.
ALTER TABLE {database}.events
    ADD COLUMN IF NOT EXISTS own_contact_id String DEFAULT contact_id
        COMMENT 'the own contact id of the identifier that the event is known by' AFTER contact_id;

ALTER TABLE {database}.events
    ADD INDEX IF NOT EXISTS by_own own_contact_id TYPE bloom_filter(0.01) GRANULARITY 1;

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
) AS o ON o.workspace = e.workspace AND o.environment = e.environment AND o.loser = e.own_contact_id;
