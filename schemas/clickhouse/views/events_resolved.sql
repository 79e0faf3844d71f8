-- Events with their contact of today. Only overrides that the rows do not have yet are looked up.
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
    e._kind AS _kind,
    e.strings AS strings,
    e.numbers AS numbers,
    e.booleans AS booleans,
    e.times AS times
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

ALTER TABLE {database}.events_resolved
    COMMENT COLUMN `workspace` 'the workspace that it belongs to',
    COMMENT COLUMN `environment` 'the environment within the workspace',
    COMMENT COLUMN `event_id` 'the client''s id of the event, or ours',
    COMMENT COLUMN `contact_id` 'the contact that it belongs to today',
    COMMENT COLUMN `type` 'as its client named it',
    COMMENT COLUMN `timestamp` 'the client''s time',
    COMMENT COLUMN `received_at` 'the edge''s time',
    COMMENT COLUMN `properties` 'a JSON object',
    COMMENT COLUMN `campaign_id` 'the campaign that it is about, empty: none',
    COMMENT COLUMN `message_id` 'the message that it is about, empty: none',
    COMMENT COLUMN `variant` 'the campaign''s variant, empty: none',
    COMMENT COLUMN `channel` 'email, sms, push or another',
    COMMENT COLUMN `context` 'a JSON object, empty: none',
    COMMENT COLUMN `source` 'the dialect that it came by',
    COMMENT COLUMN `identifiers` 'the identifiers that it came with, the strongest first',
    COMMENT COLUMN `_kind` 'track, identify, alias, device or contact',
    COMMENT COLUMN `strings` 'typed columns: texts by property',
    COMMENT COLUMN `numbers` 'typed columns: numbers by property',
    COMMENT COLUMN `booleans` 'typed columns: true and false by property',
    COMMENT COLUMN `times` 'typed columns: times by property',
    COMMENT COLUMN `stored_contact_id` 'the contact when the event was stored',
    COMMENT COLUMN `own_contact_id` 'the contact id that follows from its strongest identifier',
    MODIFY COMMENT 'Every event once, with the contact that it belongs to today';
