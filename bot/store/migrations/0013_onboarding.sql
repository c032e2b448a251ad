-- Firms that registered themselves: what they told, which contracts they accepted, how far their parts are, who wants in.

CREATE TABLE smarterbot.signups (
  tenant_id uuid PRIMARY KEY REFERENCES smarterbot.tenants,
  line text NOT NULL,  -- what it lives by, in our own words (flows/onboarding/trade.py)
  comuna text NOT NULL,  -- its CUT code
  template text NOT NULL DEFAULT '',  -- of the marketplace, as it began
  email text NOT NULL DEFAULT '',  -- the owner's; sealed (bot/store/secrets.py)
  opened_by uuid NOT NULL REFERENCES smarterbot.people,
  opened_at timestamptz NOT NULL
);
CREATE INDEX signups_person ON smarterbot.signups (opened_by, opened_at);

-- A ledger: which version of a contract a person accepted for a firm, and the message that did (Law 19.628 as reformed by
-- 21.719, art. 15 bis for the data-processing agreement).
CREATE TABLE smarterbot.agreements (
  tenant_id uuid NOT NULL REFERENCES smarterbot.tenants,
  document text NOT NULL CHECK (document IN ('terms', 'data_processing')),
  version text NOT NULL,
  accepted_by uuid NOT NULL REFERENCES smarterbot.people,
  proof text NOT NULL,  -- wamid of the tap, or of the form
  at timestamptz NOT NULL,
  PRIMARY KEY (tenant_id, document, version, accepted_by)
);

CREATE TABLE smarterbot.firm_parts (
  tenant_id uuid NOT NULL REFERENCES smarterbot.tenants,
  part text NOT NULL CHECK (part IN ('account', 'template', 'demo', 'number', 'chatwoot', 'odoo', 'n8n')),
  state text NOT NULL CHECK (state IN ('done', 'pending', 'failed', 'not_connected')),
  reason text NOT NULL DEFAULT '',  -- one word of a closed vocabulary
  round integer NOT NULL DEFAULT 1,  -- raised when an operator has it tried again
  changed_at timestamptz NOT NULL,
  PRIMARY KEY (tenant_id, part)
);

CREATE TABLE smarterbot.join_requests (
  tenant_id uuid NOT NULL REFERENCES smarterbot.tenants,
  id uuid NOT NULL,
  ugid uuid NOT NULL REFERENCES smarterbot.people,  -- who asks
  channel_id uuid NOT NULL,  -- where they are told the answer: a contact of the platform's number
  contact_id uuid NOT NULL,
  asked_at timestamptz NOT NULL,
  expires_at timestamptz NOT NULL,
  decision text CHECK (decision IN ('admitted', 'refused', 'expired')),  -- NULL: none yet
  decided_at timestamptz,
  decided_by uuid REFERENCES smarterbot.people,  -- NULL: nobody, it expired
  PRIMARY KEY (tenant_id, id)
);
CREATE UNIQUE INDEX join_requests_waiting ON smarterbot.join_requests (tenant_id, ugid) WHERE decision IS NULL;
CREATE INDEX join_requests_person ON smarterbot.join_requests (ugid, asked_at);

DO $$
DECLARE
  tenant_table text;
BEGIN
  FOREACH tenant_table IN ARRAY ARRAY['signups', 'agreements', 'firm_parts', 'join_requests'] LOOP
    EXECUTE format('ALTER TABLE smarterbot.%I ENABLE ROW LEVEL SECURITY', tenant_table);
    EXECUTE format('ALTER TABLE smarterbot.%I FORCE ROW LEVEL SECURITY', tenant_table);
    EXECUTE format(
      'CREATE POLICY tenant ON smarterbot.%I '
      'USING (tenant_id = (SELECT nullif(current_setting(''app.tenant_id'', true), '''')::uuid))',
      tenant_table
    );
  END LOOP;
END $$;
-- A person sees what they opened, and what they asked for.
CREATE POLICY person ON smarterbot.signups FOR SELECT
  USING (opened_by = (SELECT nullif(current_setting('app.ugid', true), '')::uuid));
CREATE POLICY person ON smarterbot.join_requests FOR SELECT
  USING (ugid = (SELECT nullif(current_setting('app.ugid', true), '')::uuid));

-- Whose a RUT is. For the server alone, which tells nobody.
CREATE FUNCTION smarterbot.tenant_of_rut(wanted text) RETURNS uuid
  LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
  AS $$ SELECT id FROM smarterbot.tenants WHERE rut = wanted $$;
REVOKE ALL ON FUNCTION smarterbot.tenant_of_rut(text) FROM PUBLIC;
