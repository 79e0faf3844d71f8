-- What campaign figures ask of an event's properties, taken out once when it is stored: a count then reads a few bytes
-- a row and no JSON. Rows from before this file compute them when they are read.
--
-- Which agents are machines is not decided here but by the query (`sinks/read_api/campaigns/bot_detection.py`): the list grows.
ALTER TABLE {database}.events
    ADD COLUMN IF NOT EXISTS _agent LowCardinality(String)
        MATERIALIZED if(type IN ('message.opened', 'message.clicked'), JSONExtractString(properties, 'user_agent'), '')
        COMMENT 'of an open or a click: the user agent that it came from';

ALTER TABLE {database}.events
    ADD COLUMN IF NOT EXISTS _ip String
        MATERIALIZED if(type IN ('message.opened', 'message.clicked'), JSONExtractString(properties, 'ip'), '')
        COMMENT 'of an open or a click: the address that it came from';

ALTER TABLE {database}.events
    ADD COLUMN IF NOT EXISTS _machine UInt8
        MATERIALIZED if(type IN ('message.opened', 'message.clicked'), JSONExtractBool(properties, 'machine_open'), 0)
        COMMENT 'of an open or a click: its sender says that no person did it';

ALTER TABLE {database}.events
    ADD COLUMN IF NOT EXISTS _bounce LowCardinality(String)
        MATERIALIZED if(type = 'message.bounced', lower(JSONExtractString(properties, 'bounce_class')), '')
        COMMENT 'of a bounce: hard, soft, block or what else its sender calls it';

ALTER TABLE {database}.events
    ADD COLUMN IF NOT EXISTS _message UInt128
        MATERIALIZED if(campaign_id = '' OR message_id = '', toUInt128(0),
            reinterpretAsUInt128(sipHash128(campaign_id, message_id)))
        COMMENT 'of a campaign: the message that the event is about, 0: it names none';
