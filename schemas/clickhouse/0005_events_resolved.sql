-- For analysts: every event once, with the contact that it belongs to today.
-- `stored_contact_id` is the contact as it was when the event was stored.
CREATE OR REPLACE VIEW {database}.events_resolved AS
SELECT
    e.workspace AS workspace,
    e.environment AS environment,
    e.event_id AS event_id,
    if(o.winner = '', e.contact_id, o.winner) AS contact_id,
    e.contact_id AS stored_contact_id,
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
) AS o ON o.workspace = e.workspace AND o.environment = e.environment AND o.loser = e.contact_id;
