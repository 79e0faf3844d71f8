-- Messages of campaigns as `GET /v1/campaigns/{id}` counts them (`sinks/read_api/campaigns/`): each once per kind, an open
-- or click by a person apart from one by machines alone. The list of machines is that of
-- `schemas/records/bot_detection.py`; a test compares them.
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

ALTER TABLE {database}.campaign_messages
    COMMENT COLUMN `workspace` 'the workspace that it belongs to',
    COMMENT COLUMN `environment` 'the environment within the workspace',
    COMMENT COLUMN `campaign_id` 'the campaign',
    COMMENT COLUMN `campaign` 'its name, empty: it is not defined',
    COMMENT COLUMN `message_id` 'the message, empty: its events name none, and it is its contact''s',
    COMMENT COLUMN `contact_id` 'the contact that it went to, empty: not known',
    COMMENT COLUMN `variant` 'the campaign''s variant, empty: none',
    COMMENT COLUMN `channel` 'email, sms, push or another',
    COMMENT COLUMN `requested_at` 'when it was requested, none: it was not',
    COMMENT COLUMN `sent_at` 'when it was sent, none: it was not',
    COMMENT COLUMN `delivered_at` 'when it was delivered, none: it was not',
    COMMENT COLUMN `bounced_at` 'when it was bounced, none: it was not',
    COMMENT COLUMN `complained_at` 'when it was complained, none: it was not',
    COMMENT COLUMN `unsubscribed_at` 'when it was unsubscribed, none: it was not',
    COMMENT COLUMN `failed_at` 'when it was failed, none: it was not',
    COMMENT COLUMN `opened_at` 'when a person opened it first, none: nobody did',
    COMMENT COLUMN `clicked_at` 'when a person clicked in it first, none: nobody did',
    COMMENT COLUMN `machine_opened` '1: machines opened it and no person did',
    COMMENT COLUMN `machine_clicked` '1: machines clicked in it and no person did',
    COMMENT COLUMN `bounce_class` 'hard, soft, block or another, of its last bounce; empty: it did not bounce',
    MODIFY COMMENT 'Every message of a campaign once, with the first time of each kind, by the rules of the API';
