-- The tenants' files. Their bytes lie elsewhere, under <tenant>/<first two digits>/<sha256>: equal files of a tenant are kept
-- once, and go with the last row that names them. Files of two tenants never share anything.

CREATE TABLE smarterbot.media (
  tenant_id uuid NOT NULL REFERENCES smarterbot.tenants,
  id uuid NOT NULL,
  sha256 bytea NOT NULL CHECK (length(sha256) = 32),
  size bigint NOT NULL CHECK (size > 0),
  mime text NOT NULL,  -- told from the bytes
  kind text NOT NULL CHECK (kind IN ('image', 'audio', 'voice', 'video', 'document', 'sticker')),
  name text NOT NULL DEFAULT '',
  wamid text,  -- the message that it came with
  meta_id text,  -- Meta's id of it as it came; flows know it by this one
  created_at timestamptz NOT NULL,
  expires_at timestamptz NOT NULL,
  PRIMARY KEY (tenant_id, id)
);
CREATE UNIQUE INDEX media_message ON smarterbot.media (tenant_id, wamid);
CREATE INDEX media_attachment ON smarterbot.media (tenant_id, meta_id);
CREATE INDEX media_bytes ON smarterbot.media (tenant_id, sha256);
CREATE INDEX media_expiry ON smarterbot.media (tenant_id, expires_at);

-- What Meta already has, so that the same bytes go up once a month and not with each message.
CREATE TABLE smarterbot.media_uploads (
  tenant_id uuid NOT NULL,
  channel_id uuid NOT NULL,
  sha256 bytea NOT NULL CHECK (length(sha256) = 32),
  mime text NOT NULL,  -- Meta's id is for bytes and type
  meta_id text NOT NULL,
  until timestamptz NOT NULL,
  PRIMARY KEY (tenant_id, channel_id, sha256, mime),
  FOREIGN KEY (tenant_id, channel_id) REFERENCES smarterbot.channels
);
CREATE INDEX media_uploads_expiry ON smarterbot.media_uploads (tenant_id, until);

DO $$
DECLARE
  tenant_table text;
BEGIN
  FOREACH tenant_table IN ARRAY ARRAY['media', 'media_uploads'] LOOP
    EXECUTE format('ALTER TABLE smarterbot.%I ENABLE ROW LEVEL SECURITY', tenant_table);
    EXECUTE format('ALTER TABLE smarterbot.%I FORCE ROW LEVEL SECURITY', tenant_table);
    EXECUTE format(
      'CREATE POLICY tenant ON smarterbot.%I '
      'USING (tenant_id = (SELECT nullif(current_setting(''app.tenant_id'', true), '''')::uuid))',
      tenant_table
    );
  END LOOP;
END $$;
