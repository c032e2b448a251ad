-- Messages that wait for the person, and what is needed to say again what Meta took and did not deliver.

ALTER TABLE smarterbot.messages
  ADD COLUMN parked_until timestamptz,  -- it waits for the person to write, until then; NULL: it does not
  ADD COLUMN moved_at timestamptz,  -- when we were last told that it was sent or waits: what was told before is old
  ADD COLUMN otherwise jsonb,  -- handlers.journal.Otherwise: what is to happen if it is not delivered; NULL: nothing special
  ADD COLUMN left_as jsonb,  -- the template that went in its place
  ADD COLUMN again boolean NOT NULL DEFAULT false;  -- it was sent once more after Meta had not delivered it
UPDATE smarterbot.messages SET parked_until = at + interval '7 days', moved_at = at
  WHERE parked AND wamid IS NULL AND at > now() - interval '7 days';
ALTER TABLE smarterbot.messages DROP COLUMN parked;
CREATE INDEX messages_parked ON smarterbot.messages (tenant_id, parked_until) WHERE parked_until IS NOT NULL;
