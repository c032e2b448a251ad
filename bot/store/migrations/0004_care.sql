-- What Meta says of accounts and numbers: templates, the health of channels, and alerts for the people who mend.
--
-- Webhooks overtake each other, so what a webhook may change has the time of the last change beside it: an older one
-- changes nothing.

ALTER TABLE smarterbot.channels
  ADD COLUMN pin text NOT NULL DEFAULT '',  -- of two-step verification; sealed (bot/store/secrets.py)
  ADD COLUMN registrations timestamptz[] NOT NULL DEFAULT '{}';  -- tried lately: Meta allows 10 in 72 hours

CREATE TABLE smarterbot.templates (
  tenant_id uuid NOT NULL REFERENCES smarterbot.tenants,
  waba_id text NOT NULL,
  name text NOT NULL,
  locale text NOT NULL,  -- as Meta writes it: es_CL, en
  status text NOT NULL,
  category text NOT NULL CHECK (category IN ('utility', 'marketing', 'authentication')),
  quality text NOT NULL DEFAULT 'UNKNOWN',
  parameters text[] NOT NULL DEFAULT '{}',  -- of the body, in order
  status_at timestamptz NOT NULL,
  category_at timestamptz NOT NULL,
  quality_at timestamptz NOT NULL,
  PRIMARY KEY (tenant_id, waba_id, name, locale)
);

CREATE TABLE smarterbot.channel_health (
  tenant_id uuid NOT NULL,
  channel_id uuid NOT NULL,
  holds text[] NOT NULL DEFAULT '{}',  -- why nothing may be sent
  limits text[] NOT NULL DEFAULT '{}',  -- why nothing may be sent on our own initiative
  quality text NOT NULL DEFAULT '',
  tier text NOT NULL DEFAULT '',  -- messaging limit: people a day that we may write to first
  name_status text NOT NULL DEFAULT '',
  token_kind text NOT NULL DEFAULT '',
  token_expires_at timestamptz,  -- NULL: never, or not known
  changed_at timestamptz NOT NULL,
  checked_at timestamptz,  -- when Meta was last asked; NULL: never
  PRIMARY KEY (tenant_id, channel_id),
  FOREIGN KEY (tenant_id, channel_id) REFERENCES smarterbot.channels
);

CREATE TABLE smarterbot.alerts (
  tenant_id uuid NOT NULL REFERENCES smarterbot.tenants,
  id uuid NOT NULL,
  channel_id uuid,  -- NULL: of the firm as a whole
  kind text NOT NULL,
  about text NOT NULL,  -- names of templates, words of Meta's; nothing of a person
  detail text NOT NULL DEFAULT '',  -- as it was told last: why, from what to what
  first_at timestamptz NOT NULL,
  last_at timestamptz NOT NULL,
  times bigint NOT NULL DEFAULT 1,
  settled_at timestamptz,
  PRIMARY KEY (tenant_id, id),
  FOREIGN KEY (tenant_id, channel_id) REFERENCES smarterbot.channels
);
-- The same one once, until it is settled.
CREATE UNIQUE INDEX alerts_open ON smarterbot.alerts (tenant_id, channel_id, kind, about) NULLS NOT DISTINCT
  WHERE settled_at IS NULL;

DO $$
DECLARE
  tenant_table text;
BEGIN
  FOREACH tenant_table IN ARRAY ARRAY['templates', 'channel_health', 'alerts'] LOOP
    EXECUTE format('ALTER TABLE smarterbot.%I ENABLE ROW LEVEL SECURITY', tenant_table);
    EXECUTE format('ALTER TABLE smarterbot.%I FORCE ROW LEVEL SECURITY', tenant_table);
    EXECUTE format(
      'CREATE POLICY tenant ON smarterbot.%I '
      'USING (tenant_id = (SELECT nullif(current_setting(''app.tenant_id'', true), '''')::uuid))',
      tenant_table
    );
    EXECUTE format(
      'CREATE POLICY directory ON smarterbot.%I FOR SELECT TO CURRENT_USER USING (true)', tenant_table
    );
  END LOOP;
END $$;

-- For the directory, as those of 0001: what a message needs to know without asking PostgreSQL.
CREATE FUNCTION smarterbot.directory_templates()
  RETURNS TABLE (
    tenant_id uuid, waba_id text, name text, locale text, status text, category text, quality text, parameters text[]
  )
  LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
  AS $$
    SELECT tenant_id, waba_id, name, locale, status, category, quality, parameters
    FROM smarterbot.templates ORDER BY tenant_id, waba_id, name, locale
  $$;

CREATE FUNCTION smarterbot.directory_holds()
  RETURNS TABLE (channel_id uuid, holds text[])
  LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
  AS $$ SELECT channel_id, holds FROM smarterbot.channel_health WHERE holds <> '{}' ORDER BY channel_id $$;

-- How many are open, of all firms together: for the metric.
CREATE FUNCTION smarterbot.directory_alerts()
  RETURNS TABLE (kind text, open bigint)
  LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
  AS $$ SELECT kind, count(*) FROM smarterbot.alerts WHERE settled_at IS NULL GROUP BY kind ORDER BY kind $$;

REVOKE ALL ON FUNCTION
  smarterbot.directory_templates(), smarterbot.directory_holds(), smarterbot.directory_alerts()
  FROM PUBLIC;
