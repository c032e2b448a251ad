-- Each number has a key of its own for forms (WhatsApp Flows): Meta's clients encrypt for it, our endpoint reads with it.

ALTER TABLE smarterbot.channels
  ADD COLUMN form_key text NOT NULL DEFAULT '';  -- sealed (bot/store/secrets.py): private keys as PEM, the current one first

-- Its rows are wider now.
DROP FUNCTION smarterbot.directory_channels();
CREATE FUNCTION smarterbot.directory_channels()
  RETURNS TABLE (
    tenant_id uuid, id uuid, phone_number_id text, waba_id text, portfolio_id text, display_phone text,
    platform boolean, throughput integer, token text, form_key text
  )
  LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
  AS $$
    SELECT tenant_id, id, phone_number_id, waba_id, portfolio_id, display_phone, platform,
      throughput, token, form_key
    FROM smarterbot.channels ORDER BY display_phone, id
  $$;
REVOKE ALL ON FUNCTION smarterbot.directory_channels() FROM PUBLIC;
