-- Firms' own systems hear of people: which systems a firm has, and what each of them was told of whom.

CREATE TABLE smarterbot.systems (
  tenant_id uuid NOT NULL REFERENCES smarterbot.tenants,
  system text NOT NULL CHECK (system IN ('odoo', 'chatwoot', 'n8n')),
  address text NOT NULL,
  options jsonb NOT NULL DEFAULT '{}',  -- names to texts: database and login, account
  secret text NOT NULL,  -- sealed (bot/store/secrets.py)
  changed_at timestamptz NOT NULL,
  stopped_at timestamptz,  -- it wants to hear nothing more (410); set anew, it hears again
  PRIMARY KEY (tenant_id, system)
);

-- One row for each person and system. Nothing of the person but the id: the row of an erased person stays, as the proof
-- that the system was told, and so that nothing late makes them anew.
CREATE TABLE smarterbot.identity_deliveries (
  tenant_id uuid NOT NULL REFERENCES smarterbot.tenants,
  system text NOT NULL CHECK (system IN ('odoo', 'chatwoot', 'n8n')),
  ugid uuid NOT NULL REFERENCES smarterbot.people,
  wanted bigint NOT NULL,  -- seq of the newest line in the outbox that was to be told
  told bigint NOT NULL DEFAULT 0,  -- and that the system has taken; 0: none
  telling integer NOT NULL DEFAULT 1,  -- counts what is told, for receivers: seq tells of other people
  state text NOT NULL CHECK (state IN ('waiting', 'told', 'removed', 'erased', 'failed')),
  tries integer NOT NULL DEFAULT 0,
  fault text NOT NULL DEFAULT '',  -- of the last try, one word of a closed vocabulary
  fields text[] NOT NULL DEFAULT '{}',  -- what it holds from us (phone, email): what ends is emptied there
  foreign_id text NOT NULL DEFAULT '',  -- the system's own id of the person
  at timestamptz NOT NULL,
  PRIMARY KEY (tenant_id, system, ugid)
);

ALTER TABLE smarterbot.identity_outbox ADD COLUMN carried_at timestamptz;  -- NULL: not yet in the lanes
CREATE INDEX identity_outbox_waiting ON smarterbot.identity_outbox (seq) WHERE carried_at IS NULL;
CREATE INDEX identity_outbox_person ON smarterbot.identity_outbox (ugid, seq);

DO $$
DECLARE
  tenant_table text;
BEGIN
  FOREACH tenant_table IN ARRAY ARRAY['systems', 'identity_deliveries'] LOOP
    EXECUTE format('ALTER TABLE smarterbot.%I ENABLE ROW LEVEL SECURITY', tenant_table);
    EXECUTE format('ALTER TABLE smarterbot.%I FORCE ROW LEVEL SECURITY', tenant_table);
    EXECUTE format(
      'CREATE POLICY tenant ON smarterbot.%I '
      'USING (tenant_id = (SELECT nullif(current_setting(''app.tenant_id'', true), '''')::uuid))',
      tenant_table
    );
  END LOOP;
END $$;
-- A person sees who was told of them.
CREATE POLICY person ON smarterbot.identity_deliveries FOR SELECT
  USING (ugid = (SELECT nullif(current_setting('app.ugid', true), '')::uuid));

-- For the functions below alone.
CREATE POLICY directory ON smarterbot.identity_outbox TO CURRENT_USER USING (true);
CREATE POLICY directory ON smarterbot.people FOR SELECT TO CURRENT_USER USING (true);

-- The oldest lines that are not in the lanes yet.
CREATE FUNCTION smarterbot.identity_outbox_waiting(most integer)
  RETURNS TABLE (seq bigint, id uuid, ugid uuid, type text, kind text, about_tenant uuid, at timestamptz)
  LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
  AS $$
    SELECT o.seq, o.id, o.ugid, o.type, o.kind, o.about_tenant, o.at FROM smarterbot.identity_outbox o
    WHERE o.carried_at IS NULL ORDER BY o.seq LIMIT least(most, 1000)
  $$;

-- These are in the lanes.
CREATE FUNCTION smarterbot.identity_outbox_carried(lines bigint[], now timestamptz) RETURNS void
  LANGUAGE sql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
  AS $$
    UPDATE smarterbot.identity_outbox SET carried_at = now WHERE seq = ANY (lines) AND carried_at IS NULL
  $$;

-- How far the story of each of these people has come, as one firm may hear it: what befell them elsewhere, and
-- addresses that no firm is told, are left out.
CREATE FUNCTION smarterbot.identity_versions(wanted uuid[], firm uuid)
  RETURNS TABLE (ugid uuid, erased_at timestamptz, version bigint, at timestamptz)
  LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
  AS $$
    SELECT p.ugid, p.erased_at, last.seq, last.at FROM smarterbot.people p
    CROSS JOIN LATERAL (
      SELECT o.seq, o.at FROM smarterbot.identity_outbox o
      WHERE o.ugid = p.ugid AND (o.about_tenant IS NULL OR o.about_tenant = firm)
        AND (o.kind = '' OR o.kind IN ('phone', 'email'))
      ORDER BY o.seq DESC LIMIT 1
    ) AS last
    WHERE p.ugid = ANY (wanted)
  $$;

REVOKE ALL ON FUNCTION smarterbot.identity_outbox_waiting(integer), smarterbot.identity_outbox_carried(bigint[], timestamptz),
  smarterbot.identity_versions(uuid[], uuid) FROM PUBLIC;
