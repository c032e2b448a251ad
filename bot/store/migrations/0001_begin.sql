-- Tenants and what belongs to them.
--
-- Every table with a tenant has row-level security, forced: it holds for the owner too. A setting of the transaction
-- names the tenant; after a transaction it reads as '' (not NULL), hence nullif; the sub-select is computed once and
-- can be an index condition. tenant_id stands first in every key and index, so that no look-up leaves the tenant.

CREATE TABLE smarterbot.installation (
  one boolean PRIMARY KEY DEFAULT true CHECK (one),
  pepper bytea NOT NULL,  -- keyed hashes of addresses: without it a list of phone numbers cannot be tried against them
  created_at timestamptz NOT NULL DEFAULT now()
);
-- 244 random bits; pgcrypto is not everywhere.
INSERT INTO smarterbot.installation (pepper)
VALUES (decode(replace(gen_random_uuid()::text || gen_random_uuid()::text, '-', ''), 'hex'));

CREATE TABLE smarterbot.tenants (
  id uuid PRIMARY KEY,
  name text NOT NULL CHECK (name <> ''),
  rut text NOT NULL UNIQUE CHECK (rut ~ '^[1-9][0-9]{0,7}[0-9K]$'),
  locale text NOT NULL DEFAULT 'es_CL',
  zone text NOT NULL DEFAULT 'America/Santiago',
  settings jsonb NOT NULL DEFAULT '{}' CHECK (jsonb_typeof(settings) = 'object'),
  created_at timestamptz NOT NULL DEFAULT now()
);
ALTER TABLE smarterbot.tenants ENABLE ROW LEVEL SECURITY;
ALTER TABLE smarterbot.tenants FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant ON smarterbot.tenants
  USING (id = (SELECT nullif(current_setting('app.tenant_id', true), '')::uuid));

CREATE TABLE smarterbot.channels (
  tenant_id uuid NOT NULL REFERENCES smarterbot.tenants,
  id uuid NOT NULL,
  phone_number_id text NOT NULL UNIQUE CHECK (phone_number_id <> ''),  -- Meta's: one tenant has it, or nobody
  waba_id text NOT NULL,
  portfolio_id text NOT NULL DEFAULT '',
  display_phone text NOT NULL,
  platform boolean NOT NULL DEFAULT false,
  throughput integer NOT NULL DEFAULT 80 CHECK (throughput > 0),  -- messages a second that Meta allows
  token text NOT NULL DEFAULT '',  -- sealed (bot/store/secrets.py)
  created_at timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (tenant_id, id)
);

CREATE TABLE smarterbot.contacts (
  tenant_id uuid NOT NULL REFERENCES smarterbot.tenants,
  id uuid NOT NULL,
  name text NOT NULL DEFAULT '',  -- as the person's profile says
  created_at timestamptz NOT NULL,
  PRIMARY KEY (tenant_id, id)
);

-- Who had which address, and from when to when: numbers are given to other people, and people change numbers.
CREATE TABLE smarterbot.contact_addresses (
  tenant_id uuid NOT NULL,
  kind text NOT NULL CHECK (kind IN ('phone', 'bsuid')),
  scope text NOT NULL DEFAULT '',  -- Meta portfolio (or WABA) of a bsuid; '' for a phone
  value text NOT NULL,
  contact_id uuid NOT NULL,
  valid_from timestamptz NOT NULL,
  valid_to timestamptz,  -- NULL: still theirs
  PRIMARY KEY (tenant_id, kind, scope, value, valid_from, contact_id),
  FOREIGN KEY (tenant_id, contact_id) REFERENCES smarterbot.contacts
);
CREATE UNIQUE INDEX contact_addresses_now ON smarterbot.contact_addresses (tenant_id, kind, scope, value)
  WHERE valid_to IS NULL;
CREATE INDEX contact_addresses_contact ON smarterbot.contact_addresses (tenant_id, contact_id);

CREATE TABLE smarterbot.conversations (
  tenant_id uuid NOT NULL,
  id uuid NOT NULL,
  channel_id uuid NOT NULL,
  contact_id uuid NOT NULL,
  turn bigint NOT NULL,  -- the last one written here: an older one changes nothing
  state text NOT NULL,  -- '<flow>.<state>'; '' at rest
  last_in timestamptz,  -- by Meta's clock
  changed_at timestamptz NOT NULL,
  PRIMARY KEY (tenant_id, id),
  FOREIGN KEY (tenant_id, channel_id) REFERENCES smarterbot.channels,
  FOREIGN KEY (tenant_id, contact_id) REFERENCES smarterbot.contacts
);
CREATE INDEX conversations_recent ON smarterbot.conversations (tenant_id, changed_at DESC);
CREATE INDEX conversations_contact ON smarterbot.conversations (tenant_id, contact_id);

CREATE TABLE smarterbot.turns (
  tenant_id uuid NOT NULL,
  conversation_id uuid NOT NULL,
  turn bigint NOT NULL,
  at timestamptz NOT NULL,
  state text NOT NULL,
  handoff text,  -- a person was asked for: the team, '' for any
  failed text NOT NULL DEFAULT '',
  PRIMARY KEY (tenant_id, conversation_id, turn),
  FOREIGN KEY (tenant_id, conversation_id) REFERENCES smarterbot.conversations
);

CREATE TABLE smarterbot.messages (
  tenant_id uuid NOT NULL,
  ref text NOT NULL,  -- ours of what we said, the wamid of what we heard
  conversation_id uuid NOT NULL,
  turn bigint NOT NULL,
  place smallint NOT NULL,  -- order within the turn
  direction text NOT NULL CHECK (direction IN ('in', 'out')),
  kind text NOT NULL,
  content jsonb NOT NULL,
  at timestamptz NOT NULL,
  parked boolean NOT NULL DEFAULT false,
  wamid text,  -- NULL until Meta has taken it
  status smallint NOT NULL DEFAULT 0,  -- the highest of its message_statuses.rank
  PRIMARY KEY (tenant_id, ref),
  FOREIGN KEY (tenant_id, conversation_id) REFERENCES smarterbot.conversations
);
CREATE INDEX messages_story ON smarterbot.messages (tenant_id, conversation_id, turn, direction, place);
CREATE INDEX messages_wamid ON smarterbot.messages (tenant_id, wamid);

CREATE TABLE smarterbot.message_statuses (
  tenant_id uuid NOT NULL REFERENCES smarterbot.tenants,
  wamid text NOT NULL,
  status text NOT NULL,
  rank smallint NOT NULL GENERATED ALWAYS AS (
    CASE status WHEN 'sent' THEN 1 WHEN 'delivered' THEN 2 WHEN 'read' THEN 3 WHEN 'played' THEN 4 WHEN 'failed' THEN 5 END
  ) STORED,
  at timestamptz NOT NULL,
  category text NOT NULL DEFAULT '',
  price_type text NOT NULL DEFAULT '',
  code integer NOT NULL DEFAULT 0,
  PRIMARY KEY (tenant_id, wamid, status)
);
CREATE INDEX message_statuses_bill ON smarterbot.message_statuses (tenant_id, at) WHERE price_type = 'regular';

-- Why a message did not leave, or came back.
CREATE TABLE smarterbot.refusals (
  tenant_id uuid NOT NULL REFERENCES smarterbot.tenants,
  ref text NOT NULL,
  fault text NOT NULL,
  code integer NOT NULL,
  at timestamptz NOT NULL,
  PRIMARY KEY (tenant_id, ref, fault)
);

-- A ledger: Law 19.628 as reformed, article 12, puts the burden of proof on the firm. Rows are added, never changed.
CREATE TABLE smarterbot.consents (
  tenant_id uuid NOT NULL,
  conversation_id uuid NOT NULL,
  turn bigint NOT NULL,
  purpose text NOT NULL,
  contact_id uuid NOT NULL,
  granted boolean NOT NULL,
  evidence text NOT NULL,  -- wamid of the message that said so
  at timestamptz NOT NULL,
  PRIMARY KEY (tenant_id, conversation_id, turn, purpose),
  FOREIGN KEY (tenant_id, conversation_id) REFERENCES smarterbot.conversations,
  FOREIGN KEY (tenant_id, contact_id) REFERENCES smarterbot.contacts
);
CREATE INDEX consents_contact ON smarterbot.consents (tenant_id, contact_id, purpose, at DESC);

CREATE TABLE smarterbot.handoffs (
  tenant_id uuid NOT NULL REFERENCES smarterbot.tenants,
  conversation_id uuid NOT NULL,
  seq bigint NOT NULL,
  contact_id uuid NOT NULL,
  at timestamptz NOT NULL,
  note text NOT NULL,
  team text NOT NULL,
  about text NOT NULL,
  PRIMARY KEY (tenant_id, conversation_id, seq)
);

-- Lines of the journal that PostgreSQL refused. They may name any tenant, or none that exists: nobody but the owner
-- of the schema reads them.
CREATE TABLE smarterbot.journal_rejects (
  digest bytea PRIMARY KEY,  -- of the line: written once, however often it is tried
  shard integer NOT NULL,
  reason text NOT NULL,  -- SQLSTATE or the name of our error
  line bytea NOT NULL,
  at timestamptz NOT NULL DEFAULT now()
);

DO $$
DECLARE
  tenant_table text;
BEGIN
  FOREACH tenant_table IN ARRAY ARRAY[
    'channels', 'contacts', 'contact_addresses', 'conversations', 'turns', 'messages', 'message_statuses', 'refusals',
    'consents', 'handoffs'
  ] LOOP
    EXECUTE format('ALTER TABLE smarterbot.%I ENABLE ROW LEVEL SECURITY', tenant_table);
    EXECUTE format('ALTER TABLE smarterbot.%I FORCE ROW LEVEL SECURITY', tenant_table);
    EXECUTE format(
      'CREATE POLICY tenant ON smarterbot.%I '
      'USING (tenant_id = (SELECT nullif(current_setting(''app.tenant_id'', true), '''')::uuid))',
      tenant_table
    );
  END LOOP;
END $$;

-- The directory: a webhook names a phone number before any tenant is known, so the server must read all firms and
-- channels at once. Two functions with the rights of the owner do that, and nothing else: fixed columns, no argument
-- that could widen them. The owner gets a policy on these two tables alone. That takes nothing from the isolation (it
-- could drop every policy anyway, and the server never connects as it), while a role of its own would need CREATEROLE,
-- which hosted databases do not always give.
CREATE POLICY directory ON smarterbot.tenants FOR SELECT TO CURRENT_USER USING (true);
CREATE POLICY directory ON smarterbot.channels FOR SELECT TO CURRENT_USER USING (true);

CREATE FUNCTION smarterbot.directory_tenants()
  RETURNS TABLE (id uuid, name text, locale text, zone text, settings jsonb)
  LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
  AS $$ SELECT id, name, locale, zone, settings FROM smarterbot.tenants ORDER BY name, id $$;

CREATE FUNCTION smarterbot.directory_channels()
  RETURNS TABLE (
    tenant_id uuid, id uuid, phone_number_id text, waba_id text, portfolio_id text, display_phone text,
    platform boolean, throughput integer, token text
  )
  LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
  AS $$
    SELECT tenant_id, id, phone_number_id, waba_id, portfolio_id, display_phone, platform,
      throughput, token
    FROM smarterbot.channels ORDER BY display_phone, id
  $$;

REVOKE ALL ON FUNCTION smarterbot.directory_tenants(), smarterbot.directory_channels() FROM PUBLIC;
