-- The API for firms' own systems: keys, and campaigns with those whom they go to.
-- A single message needs no table: from its turn on it is a row of messages, with its id as ref.

CREATE TABLE smarterbot.api_keys (
  tenant_id uuid NOT NULL REFERENCES smarterbot.tenants,
  id uuid NOT NULL,
  name text NOT NULL CHECK (name <> ''),
  hash bytea NOT NULL CHECK (length(hash) = 32),  -- SHA-256 of 256 random bits: nothing to be tried out
  scopes text[] NOT NULL,
  per_minute integer NOT NULL CHECK (per_minute > 0),
  created_at timestamptz NOT NULL DEFAULT now(),
  expires_at timestamptz,  -- when its successor alone opens
  revoked_at timestamptz,
  PRIMARY KEY (tenant_id, id)
);

CREATE TABLE smarterbot.campaigns (
  tenant_id uuid NOT NULL,
  id uuid NOT NULL,
  title text NOT NULL,
  channel_id uuid NOT NULL,
  per_minute integer NOT NULL,
  size integer NOT NULL,
  accepted_at timestamptz NOT NULL,
  -- as the journal told last
  step bigint NOT NULL DEFAULT 0,
  status text NOT NULL DEFAULT 'accepted',
  released integer NOT NULL DEFAULT 0,
  waits_for text NOT NULL DEFAULT '',
  changed_at timestamptz NOT NULL,
  PRIMARY KEY (tenant_id, id),
  FOREIGN KEY (tenant_id, channel_id) REFERENCES smarterbot.channels
);

CREATE TABLE smarterbot.campaign_recipients (
  tenant_id uuid NOT NULL,
  campaign_id uuid NOT NULL,
  n integer NOT NULL,  -- place in the request, from 0
  message_id text NOT NULL,  -- messages.ref, once its turn has come
  contact_id uuid,
  phone text NOT NULL DEFAULT '',
  bsuid text NOT NULL DEFAULT '',
  message jsonb NOT NULL,  -- the intent with its variables
  purpose text NOT NULL DEFAULT '',  -- what the firm says that the person allowed elsewhere; '' for nothing
  evidence text NOT NULL DEFAULT '',
  PRIMARY KEY (tenant_id, campaign_id, n),
  FOREIGN KEY (tenant_id, campaign_id) REFERENCES smarterbot.campaigns
);
CREATE INDEX campaign_recipients_message ON smarterbot.campaign_recipients (tenant_id, message_id);

DO $$
DECLARE
  tenant_table text;
BEGIN
  FOREACH tenant_table IN ARRAY ARRAY['api_keys', 'campaigns', 'campaign_recipients'] LOOP
    EXECUTE format('ALTER TABLE smarterbot.%I ENABLE ROW LEVEL SECURITY', tenant_table);
    EXECUTE format('ALTER TABLE smarterbot.%I FORCE ROW LEVEL SECURITY', tenant_table);
    EXECUTE format(
      'CREATE POLICY tenant ON smarterbot.%I '
      'USING (tenant_id = (SELECT nullif(current_setting(''app.tenant_id'', true), '''')::uuid))',
      tenant_table
    );
  END LOOP;
END $$;

-- A request shows its key before any tenant is known: keys belong to the directory (see 0001_begin.sql).
CREATE POLICY directory ON smarterbot.api_keys FOR SELECT TO CURRENT_USER USING (true);

CREATE FUNCTION smarterbot.directory_keys()
  RETURNS TABLE (
    tenant_id uuid, id uuid, hash bytea, scopes text[], per_minute integer, expires_at timestamptz
  )
  LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
  AS $$
    SELECT tenant_id, id, hash, scopes, per_minute, expires_at
    FROM smarterbot.api_keys WHERE revoked_at IS NULL ORDER BY id
  $$;

-- Whoever shows keys that nobody knows must not make the whole directory be read each time.
CREATE FUNCTION smarterbot.has_keys(wanted uuid[]) RETURNS boolean
  LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
  AS $$ SELECT EXISTS (SELECT FROM smarterbot.api_keys WHERE id = ANY(wanted) AND revoked_at IS NULL) $$;

REVOKE ALL ON FUNCTION smarterbot.directory_keys(), smarterbot.has_keys(uuid[]) FROM PUBLIC;
