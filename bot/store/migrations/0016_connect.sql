-- Numbers that owners connect themselves, on the page /connect.

-- A row for each ticket that was used: it is good for one connection, and for another only when that one has failed. The
-- token lies with the channel.
CREATE TABLE smarterbot.number_connections (
  tenant_id uuid NOT NULL REFERENCES smarterbot.tenants,
  id uuid NOT NULL,  -- the ticket's
  ugid uuid NOT NULL REFERENCES smarterbot.people,  -- whom the ticket was given to
  channel_id uuid NOT NULL,
  coexistence boolean NOT NULL,  -- the number stays in the WhatsApp Business app
  attempt integer NOT NULL DEFAULT 1 CHECK (attempt > 0),
  step text NOT NULL,  -- to be done next (handlers/whatsapp/connecting.py)
  state text NOT NULL CHECK (state IN ('pending', 'done', 'failed')),
  reason text NOT NULL DEFAULT '',  -- why it failed, one word of a closed vocabulary
  begun_at timestamptz NOT NULL,
  changed_at timestamptz NOT NULL,
  PRIMARY KEY (tenant_id, id),
  FOREIGN KEY (tenant_id, channel_id) REFERENCES smarterbot.channels
);

ALTER TABLE smarterbot.number_connections ENABLE ROW LEVEL SECURITY;
ALTER TABLE smarterbot.number_connections FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant ON smarterbot.number_connections
  USING (tenant_id = (SELECT nullif(current_setting('app.tenant_id', true), '')::uuid));
-- A person sees what they connected.
CREATE POLICY person ON smarterbot.number_connections FOR SELECT
  USING (ugid = (SELECT nullif(current_setting('app.ugid', true), '')::uuid));
