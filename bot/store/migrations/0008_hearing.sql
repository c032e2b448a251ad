-- What people change after they wrote: their words, their number, and who they turn out to be.

-- A message that was edited or taken back: its content is what it says now ("changed" in it tells which).
ALTER TABLE smarterbot.messages ADD COLUMN changed_at timestamptz;  -- by Meta's clock; NULL: as it was written

-- Two contacts proved to be one person: this one is kept for its history, the other one goes on.
ALTER TABLE smarterbot.contacts ADD COLUMN joined_into uuid, ADD COLUMN joined_at timestamptz;

-- A contact's number, id or device is another: what they proved before about who they are is void, log-ins end.
-- Rows are added, never changed. No reference to contacts: it may be told of somebody who has not been written yet.
CREATE TABLE smarterbot.proofs_voided (
  tenant_id uuid NOT NULL REFERENCES smarterbot.tenants,
  contact_id uuid NOT NULL,
  at timestamptz NOT NULL,
  why text NOT NULL CHECK (why IN ('number', 'user_id', 'identity', 'recycled')),
  PRIMARY KEY (tenant_id, contact_id, at, why)
);
ALTER TABLE smarterbot.proofs_voided ENABLE ROW LEVEL SECURITY;
ALTER TABLE smarterbot.proofs_voided FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant ON smarterbot.proofs_voided
  USING (tenant_id = (SELECT nullif(current_setting('app.tenant_id', true), '')::uuid));
