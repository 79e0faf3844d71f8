-- Views for analysts, in which nothing has to be known about merges, repeats, deletions or machines.
--
-- `campaign_messages` counts as `GET /v1/campaigns/{id}` does (`sinks/read_api/campaigns/`): a message once per kind, an
-- open or click by a person apart from one by machines alone. The list of machines is that of
-- `schemas/records/bot_detection.py`: where it changes, a new file makes the view anew; a test says so.
CREATE OR REPLACE VIEW {database}.contacts_current AS
SELECT
    workspace, environment, contact_id, email, phone, external_id, anonymous_ids, identifiers,
    attributes, consents, devices, created_at, updated_at
FROM {database}.contacts FINAL
WHERE merged_into = '';

CREATE OR REPLACE VIEW {database}.members_current AS
SELECT
    m.workspace AS workspace,
    m.environment AS environment,
    m.segment_id AS segment_id,
    s.name AS segment,
    m.contact_id AS contact_id,
    c.email AS email,
    c.phone AS phone,
    c.external_id AS external_id,
    m.at AS since,
    fromUnixTimestamp64Milli(toInt64(intDiv(m.version, 1024)), 'UTC') AS known_since,
    m.segment_version AS segment_version
FROM {database}.memberships AS m FINAL
LEFT ANY JOIN
(
    SELECT workspace, environment, segment_id, name, deleted FROM {database}.segments FINAL
) AS s ON s.workspace = m.workspace AND s.environment = m.environment AND s.segment_id = m.segment_id
LEFT ANY JOIN
(
    SELECT workspace, environment, contact_id, email, phone, external_id FROM {database}.contacts FINAL
) AS c ON c.workspace = m.workspace AND c.environment = m.environment AND c.contact_id = m.contact_id
WHERE m.member AND NOT s.deleted;

CREATE OR REPLACE VIEW {database}.membership_history AS
SELECT
    h.workspace AS workspace,
    h.environment AS environment,
    h.segment_id AS segment_id,
    s.name AS segment,
    h.contact_id AS contact_id,
    tupleElement(h.entry, 3) AS entered_at,
    fromUnixTimestamp64Milli(toInt64(intDiv(tupleElement(h.entry, 1), 1024)), 'UTC') AS entered_known_at,
    tupleElement(h.entry, 4) AS entered_by,
    tupleElement(h.entry, 5) AS entered_event_id,
    if(h.is_over, tupleElement(h.exit, 3), NULL) AS left_at,
    if(h.is_over, fromUnixTimestamp64Milli(toInt64(intDiv(tupleElement(h.exit, 1), 1024)), 'UTC'), NULL) AS left_known_at,
    tupleElement(h.exit, 4) AS left_by,
    tupleElement(h.exit, 5) AS left_event_id
FROM
(
    SELECT
        workspace, environment, segment_id, contact_id,
        arraySort(groupUniqArray((version, member, at, reason, event_id))) AS said,
        -- what only says again what was so is no change
        arrayFilter((one, n) -> one.2 != if(n = 1, 0, said[n - 1].2), said, arrayEnumerate(said)) AS turns,
        arrayJoin(arrayFilter(n -> turns[n].2 = 1, arrayEnumerate(turns))) AS nth,
        turns[nth] AS entry,
        turns[nth + 1] AS exit,
        nth < length(turns) AS is_over
    FROM {database}.membership_changes
    GROUP BY workspace, environment, segment_id, contact_id
) AS h
LEFT ANY JOIN
(
    SELECT workspace, environment, segment_id, name FROM {database}.segments FINAL
) AS s ON s.workspace = h.workspace AND s.environment = h.environment AND s.segment_id = h.segment_id;

CREATE OR REPLACE VIEW {database}.consents_current AS
SELECT
    c.workspace AS workspace,
    c.environment AS environment,
    c.contact_id AS contact_id,
    c.email AS email,
    c.phone AS phone,
    c.one.1 AS consent,
    c.one.2 = 'true' AS given,
    said.at AS said_at,
    said.event_id AS event_id
FROM
(
    SELECT workspace, environment, contact_id, email, phone, arrayJoin(JSONExtractKeysAndValuesRaw(consents)) AS one
    FROM {database}.contacts FINAL
    WHERE merged_into = ''
) AS c
LEFT ANY JOIN
(
    SELECT
        r.workspace AS workspace, r.environment AS environment,
        if(o.winner = '', r.contact_id, o.winner) AS owner,
        r.consent AS consent,
        max(r.at) AS at,
        argMax(r.event_id, (r.at, r.event_id)) AS event_id
    FROM {database}.consent_changes AS r
    LEFT ANY JOIN
    (
        SELECT workspace, environment, loser, winner FROM {database}.contact_overrides FINAL
    ) AS o ON o.workspace = r.workspace AND o.environment = r.environment AND o.loser = r.contact_id
    GROUP BY workspace, environment, owner, consent
) AS said ON said.workspace = c.workspace AND said.environment = c.environment AND said.owner = c.contact_id
    AND said.consent = c.one.1;

CREATE OR REPLACE VIEW {database}.campaign_messages AS
SELECT
    f.workspace AS workspace,
    f.environment AS environment,
    f.campaign_id AS campaign_id,
    any(n.name) AS campaign,
    max(f.message_id) AS message_id,
    max(f.contact) AS contact_id,
    max(f.variant) AS variant,
    max(f.channel) AS channel,
    minOrNullIf(f.timestamp, f.type = 'message.requested') AS requested_at,
    minOrNullIf(f.timestamp, f.type = 'message.sent') AS sent_at,
    minOrNullIf(f.timestamp, f.type = 'message.delivered') AS delivered_at,
    minOrNullIf(f.timestamp, f.type = 'message.opened' AND NOT f.machine) AS opened_at,
    minOrNullIf(f.timestamp, f.type = 'message.clicked' AND NOT f.machine) AS clicked_at,
    minOrNullIf(f.timestamp, f.type = 'message.bounced') AS bounced_at,
    minOrNullIf(f.timestamp, f.type = 'message.complained') AS complained_at,
    minOrNullIf(f.timestamp, f.type = 'message.unsubscribed') AS unsubscribed_at,
    minOrNullIf(f.timestamp, f.type = 'message.failed') AS failed_at,
    countIf(f.type = 'message.opened' AND f.machine) > 0 AND opened_at IS NULL AS machine_opened,
    countIf(f.type = 'message.clicked' AND f.machine) > 0 AND clicked_at IS NULL AS machine_clicked,
    argMaxIf(if(f.bounce = '', 'unknown', f.bounce), (f.timestamp, f.bounce), f.type = 'message.bounced') AS bounce_class
FROM
(
    SELECT
        e.workspace AS workspace, e.environment AS environment, e.campaign_id AS campaign_id, e.type AS type,
        e.timestamp AS timestamp, e.message_id AS message_id, e.variant AS variant, e.channel AS channel,
        e._bounce AS bounce,
        if(o.winner = '', e.contact_id, o.winner) AS contact,
        multiIf(e._message != 0, e._message,
                contact != '', reinterpretAsUInt128(sipHash128(e.campaign_id, '', contact)),
                reinterpretAsUInt128(sipHash128(e.campaign_id, '', e.type, e.event_id))) AS message,
        (_machine = 1 OR _agent IN ('Mozilla/5.0', 'Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/42.0.2311.135 Safari/537.36 Edge/12.246 Mozilla/5.0') OR multiSearchAny(lower(_agent), ['barracuda', 'bitdefender', 'bot/', 'cisco-outbreak', 'curl/', 'forcepoint', 'go-http-client', 'googlebot', 'headlesschrome', 'ironport', 'java/', 'libwww-perl', 'mimecast', 'phantomjs', 'proofpoint', 'python-requests', 'python-urllib', 'safelinks', 'sophos', 'symantec', 'trendmicro', 'urldefense', 'wget/']) OR if(isIPv4String(_ip), isIPAddressInRange(_ip, '64.235.144.0/20') OR isIPAddressInRange(_ip, '209.222.80.0/21'), 0))
            AS machine
    FROM {database}.events AS e
    LEFT ANY JOIN
    (
        SELECT workspace, environment, loser, winner FROM {database}.contact_overrides FINAL
    ) AS o ON o.workspace = e.workspace AND o.environment = e.environment AND o.loser = e.own_contact_id
    WHERE e.campaign_id != '' AND e.type IN ('message.requested', 'message.sent', 'message.delivered', 'message.opened', 'message.clicked', 'message.bounced', 'message.complained', 'message.unsubscribed', 'message.failed')
) AS f
LEFT ANY JOIN
(
    SELECT workspace, environment, campaign_id, name FROM {database}.campaigns FINAL
) AS n ON n.workspace = f.workspace AND n.environment = f.environment AND n.campaign_id = f.campaign_id
GROUP BY workspace, environment, campaign_id, f.message;
