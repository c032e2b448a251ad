-- Invitations into a firm's team: for one phone, until they are answered or over.

CREATE TABLE smarterbot.invitations (
  tenant_id uuid NOT NULL REFERENCES smarterbot.tenants,
  id uuid NOT NULL DEFAULT gen_random_uuid(),
  role text NOT NULL CHECK (role IN ('admin', 'agent')),  -- nobody is made an owner by somebody else's tap
  invited_by uuid NOT NULL REFERENCES smarterbot.people,
  state text NOT NULL DEFAULT 'open' CHECK (state IN ('open', 'accepted', 'declined', 'void', 'expired')),
  phone_hash bytea CHECK (length(phone_hash) = 32),  -- keyed (bot/identity/secrets.py): it is found by it
  phone text,  -- sealed (bot/store/secrets.py)
  message uuid NOT NULL,  -- reference of the newest message that tells them
  wrote_at timestamptz NOT NULL,  -- when that was asked for
  created_at timestamptz NOT NULL,
  expires_at timestamptz NOT NULL,
  ended_at timestamptz,
  PRIMARY KEY (tenant_id, id),
  UNIQUE (tenant_id, message),
  -- What is over keeps no phone.
  CHECK ((state = 'open') = (phone IS NOT NULL AND phone_hash IS NOT NULL AND ended_at IS NULL))
);
CREATE UNIQUE INDEX invitations_open ON smarterbot.invitations (tenant_id, phone_hash) WHERE state = 'open';
CREATE INDEX invitations_phone ON smarterbot.invitations (phone_hash) WHERE state = 'open';
CREATE INDEX invitations_expiry ON smarterbot.invitations (expires_at) WHERE state = 'open';

ALTER TABLE smarterbot.invitations ENABLE ROW LEVEL SECURITY;
ALTER TABLE smarterbot.invitations FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant ON smarterbot.invitations
  USING (tenant_id = (SELECT nullif(current_setting('app.tenant_id', true), '')::uuid));

-- For the functions below alone.
CREATE POLICY directory ON smarterbot.invitations TO CURRENT_USER USING (true);

-- Those that wait for one phone, whichever firm's they are.
CREATE FUNCTION smarterbot.invitations_for(hash bytea, now timestamptz)
  RETURNS TABLE (tenant_id uuid, id uuid, role text, invited_by uuid, firm text)
  LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
  AS $$
    SELECT i.tenant_id, i.id, i.role, i.invited_by, t.name
    FROM smarterbot.invitations i JOIN smarterbot.tenants t ON t.id = i.tenant_id
    WHERE i.phone_hash = hash AND i.state = 'open' AND i.expires_at > now
    ORDER BY i.created_at, i.id LIMIT 20
  $$;

-- The phones of those that nobody answered go.
CREATE FUNCTION smarterbot.expire_invitations(now timestamptz) RETURNS bigint
  LANGUAGE sql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
  AS $$
    WITH gone AS (
      UPDATE smarterbot.invitations SET state = 'expired', phone = NULL, phone_hash = NULL, ended_at = now
      WHERE state = 'open' AND expires_at <= now RETURNING true
    )
    SELECT count(*) FROM gone
  $$;

REVOKE ALL ON FUNCTION smarterbot.invitations_for(bytea, timestamptz), smarterbot.expire_invitations(timestamptz)
  FROM PUBLIC;
