-- People across the platform: who they are (UGID), by what they are known, which firms they belong to, their sessions.
--
-- A person is nobody's row: another setting of the transaction, app.ugid, names the person whose rows are seen, as
-- app.tenant_id names the tenant (0001_begin.sql). What is looked up before the person is known goes through functions
-- with the rights of the owner: fixed columns, one exact value in, one id out.

CREATE TABLE smarterbot.people (
  ugid uuid PRIMARY KEY,
  created_at timestamptz NOT NULL,
  erased_at timestamptz  -- the id stays, so that nobody gets it again; everything else of the person is gone
);

-- By what a person is known, and from when to when: numbers are given to other people.
CREATE TABLE smarterbot.identities (
  ugid uuid NOT NULL REFERENCES smarterbot.people,
  kind text NOT NULL CHECK (kind IN ('phone', 'bsuid', 'clerk', 'email')),
  scope text NOT NULL DEFAULT '',  -- Meta portfolio of a bsuid, instance of a clerk id; '' for a phone and an email
  value text NOT NULL CHECK (value <> ''),
  verified_at timestamptz,  -- NULL: said by WhatsApp (a number was changed), and not proved by the person yet
  valid_from timestamptz NOT NULL,
  valid_to timestamptz,  -- NULL: still theirs
  PRIMARY KEY (ugid, kind, scope, value, valid_from)
);
CREATE UNIQUE INDEX identities_now ON smarterbot.identities (kind, scope, value) WHERE valid_to IS NULL;

-- The platform's record of a login subject, under the name that its other services know.
CREATE TABLE smarterbot.user_auth (
  ugid uuid PRIMARY KEY REFERENCES smarterbot.people,
  created_at timestamptz NOT NULL,
  last_login_at timestamptz,
  last_method text NOT NULL DEFAULT '',  -- whatsapp_code, whatsapp_link, clerk …
  locale text NOT NULL DEFAULT '',
  disabled_at timestamptz  -- may not log in
);

CREATE TABLE smarterbot.memberships (
  tenant_id uuid NOT NULL REFERENCES smarterbot.tenants,
  ugid uuid NOT NULL REFERENCES smarterbot.people,
  role text NOT NULL CHECK (role IN ('owner', 'admin', 'agent', 'customer')),
  created_at timestamptz NOT NULL,
  revoked_at timestamptz,
  PRIMARY KEY (tenant_id, ugid)
);
CREATE INDEX memberships_person ON smarterbot.memberships (ugid, tenant_id);

-- A session is the family of its refresh tokens. Of them only a keyed hash of the newest is kept.
CREATE TABLE smarterbot.sessions (
  ugid uuid NOT NULL REFERENCES smarterbot.people,
  id uuid NOT NULL,
  acts_for uuid REFERENCES smarterbot.tenants,  -- the firm in its tokens; NULL: none
  method text NOT NULL,
  agent text NOT NULL DEFAULT '',  -- the browser or application, as it called itself
  generation integer NOT NULL DEFAULT 1 CHECK (generation > 0),  -- of the newest refresh token
  token_hash bytea NOT NULL CHECK (length(token_hash) = 32),
  created_at timestamptz NOT NULL,
  refreshed_at timestamptz NOT NULL,
  expires_at timestamptz NOT NULL,
  revoked_at timestamptz,
  why text NOT NULL DEFAULT '',  -- it was revoked: logout, reuse, number_changed …
  PRIMARY KEY (ugid, id)
);
CREATE INDEX sessions_expiry ON smarterbot.sessions (expires_at);

-- What must be told to other systems about people, written with the change itself. No values: whoever tells it reads
-- them, as they are then. The lines of one person are written one after the other (the row in people is locked), so
-- seq is their order.
CREATE TABLE smarterbot.identity_outbox (
  seq bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  id uuid NOT NULL DEFAULT gen_random_uuid() UNIQUE,  -- of the event, wherever it is told
  ugid uuid NOT NULL REFERENCES smarterbot.people,
  type text NOT NULL CHECK (type IN (
    'person.created', 'person.erased', 'identity.linked', 'identity.unlinked', 'membership.changed'
  )),
  kind text NOT NULL DEFAULT '',  -- of the identity
  scope text NOT NULL DEFAULT '',
  about_tenant uuid REFERENCES smarterbot.tenants,  -- of the membership
  at timestamptz NOT NULL
);

-- The keys of access tokens. The private half is sealed (bot/store/secrets.py).
CREATE TABLE smarterbot.signing_keys (
  kid text PRIMARY KEY,
  public jsonb NOT NULL,  -- a JWK
  private text NOT NULL,
  created_at timestamptz NOT NULL,
  signs_from timestamptz NOT NULL,  -- shown before it signs: whoever keeps the set has it by then
  shown_until timestamptz  -- NULL: it has no successor yet
);

DO $$
DECLARE
  person_table text;
BEGIN
  FOREACH person_table IN ARRAY ARRAY['people', 'identities', 'user_auth', 'sessions', 'identity_outbox'] LOOP
    EXECUTE format('ALTER TABLE smarterbot.%I ENABLE ROW LEVEL SECURITY', person_table);
    EXECUTE format('ALTER TABLE smarterbot.%I FORCE ROW LEVEL SECURITY', person_table);
    EXECUTE format(
      'CREATE POLICY person ON smarterbot.%I '
      'USING (ugid = (SELECT nullif(current_setting(''app.ugid'', true), '''')::uuid))',
      person_table
    );
  END LOOP;
END $$;

ALTER TABLE smarterbot.memberships ENABLE ROW LEVEL SECURITY;
ALTER TABLE smarterbot.memberships FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant ON smarterbot.memberships
  USING (tenant_id = (SELECT nullif(current_setting('app.tenant_id', true), '')::uuid));
-- A person sees where they belong; what they may do there is the firm's to say.
CREATE POLICY person ON smarterbot.memberships FOR SELECT
  USING (ugid = (SELECT nullif(current_setting('app.ugid', true), '')::uuid));

-- For the functions below alone; the server never connects as the owner.
CREATE POLICY directory ON smarterbot.identities FOR SELECT TO CURRENT_USER USING (true);
CREATE POLICY directory ON smarterbot.sessions TO CURRENT_USER USING (true);

-- Who has an address now. Whoever asks in order to change it waits until nobody else does (to the end of the
-- transaction): two first logins of one phone make one person.
CREATE FUNCTION smarterbot.identity_person(wanted_kind text, wanted_scope text, wanted_value text, to_change boolean)
  RETURNS TABLE (ugid uuid, verified_at timestamptz)
  LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
  AS $$
  BEGIN
    IF to_change THEN
      PERFORM pg_advisory_xact_lock(hashtextextended(
        'identity|' || wanted_kind || '|' || wanted_scope || '|' || wanted_value, 0));
    END IF;
    RETURN QUERY SELECT i.ugid, i.verified_at FROM smarterbot.identities i
      WHERE i.kind = wanted_kind AND i.scope = wanted_scope AND i.value = wanted_value AND i.valid_to IS NULL;
  END $$;

-- Sessions that ended long ago go.
CREATE FUNCTION smarterbot.forget_sessions(ended_before timestamptz) RETURNS bigint
  LANGUAGE sql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
  AS $$
    WITH gone AS (DELETE FROM smarterbot.sessions WHERE expires_at < ended_before RETURNING true)
    SELECT count(*) FROM gone
  $$;

REVOKE ALL ON FUNCTION smarterbot.identity_person(text, text, text, boolean), smarterbot.forget_sessions(timestamptz)
  FROM PUBLIC;
