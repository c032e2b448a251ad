-- What each message costs, as Meta's statuses tell it.
--
-- A row is the sum of all that was heard of one message, whatever came first, came late or came twice: every column is a
-- least or a greatest of what was told, so the same statuses in any order, from any number of writers, make the same row.

CREATE TABLE smarterbot.message_fares (
  tenant_id uuid NOT NULL REFERENCES smarterbot.tenants,
  wamid text NOT NULL,
  channel_id uuid,  -- NULL: only an older version has told of it
  country text COLLATE "C" NOT NULL,  -- of the recipient, as ISO writes it; '' = not known
  told smallint NOT NULL,  -- how far the message was that told the price, as message_statuses.rank; 0 = our estimate, -1 = nobody
  category text COLLATE "C" NOT NULL,
  price_type text COLLATE "C" NOT NULL,  -- regular (billed), free_customer_service, free_entry_point; '' = not told
  first_at timestamptz NOT NULL,  -- the earliest that we know of it
  arrived_at timestamptz,  -- delivered, read or played: only then it is billed
  failed boolean NOT NULL,
  at timestamptz NOT NULL GENERATED ALWAYS AS (coalesce(arrived_at, first_at)) STORED,  -- whose month it belongs to
  PRIMARY KEY (tenant_id, wamid)
);
CREATE INDEX message_fares_month ON smarterbot.message_fares (tenant_id, at);

ALTER TABLE smarterbot.message_fares ENABLE ROW LEVEL SECURITY;
ALTER TABLE smarterbot.message_fares FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant ON smarterbot.message_fares
  USING (tenant_id = (SELECT nullif(current_setting('app.tenant_id', true), '')::uuid));

-- What was told before this table was there.
DO $$
DECLARE
  firm record;
BEGIN
  FOR firm IN SELECT id FROM smarterbot.directory_tenants() LOOP
    PERFORM set_config('app.tenant_id', firm.id::text, true);
    INSERT INTO smarterbot.message_fares
      (tenant_id, wamid, channel_id, country, told, category, price_type, first_at, arrived_at, failed)
    SELECT firm.id, status.wamid, max(conversation.channel_id::text)::uuid, '',
      coalesce(max(status.rank) FILTER (WHERE status.category <> ''), -1),
      coalesce((array_agg(status.category ORDER BY status.rank DESC) FILTER (WHERE status.category <> ''))[1], ''),
      coalesce((array_agg(status.price_type ORDER BY status.rank DESC) FILTER (WHERE status.category <> ''))[1], ''),
      min(status.at), min(status.at) FILTER (WHERE status.rank IN (2, 3, 4)), bool_or(status.rank = 5)
    FROM smarterbot.message_statuses AS status
    LEFT JOIN smarterbot.messages AS message ON message.tenant_id = firm.id AND message.wamid = status.wamid
    LEFT JOIN smarterbot.conversations AS conversation
      ON conversation.tenant_id = firm.id AND conversation.id = message.conversation_id
    WHERE status.tenant_id = firm.id
    GROUP BY status.wamid;
  END LOOP;
  PERFORM set_config('app.tenant_id', '', true);
END $$;
DROP INDEX smarterbot.message_statuses_bill;
