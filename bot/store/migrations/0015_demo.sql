-- A number may be the one on which any firm's bot is tried out; the platform's own number cannot be it, too.

ALTER TABLE smarterbot.channels
  ADD COLUMN demo boolean NOT NULL DEFAULT false,
  ADD CONSTRAINT channels_one_mark CHECK (NOT (platform AND demo));

-- Its rows are wider now.
DROP FUNCTION smarterbot.directory_channels();
CREATE FUNCTION smarterbot.directory_channels()
  RETURNS TABLE (
    tenant_id uuid, id uuid, phone_number_id text, waba_id text, portfolio_id text, display_phone text,
    platform boolean, demo boolean, throughput integer, token text, form_key text
  )
  LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
  AS $$
    SELECT tenant_id, id, phone_number_id, waba_id, portfolio_id, display_phone, platform, demo,
      throughput, token, form_key
    FROM smarterbot.channels ORDER BY display_phone, id
  $$;
REVOKE ALL ON FUNCTION smarterbot.directory_channels() FROM PUBLIC;
