-- What Clerk told last of each of its users. Its events come in any order, so the newest is known by Clerk's own time of it;
-- a deleted user stays deleted, so the row stays too, without anything of the person.

CREATE TABLE smarterbot.clerk_users (
  instance text NOT NULL,
  id text NOT NULL,  -- user_…
  ugid uuid REFERENCES smarterbot.people,  -- NULL: deleted before we heard of them
  told_ms bigint NOT NULL DEFAULT 0,  -- Clerk's updated_at
  phones text[] NOT NULL DEFAULT '{}',  -- what this user alone vouches for: it ends when the user says so no more
  emails text[] NOT NULL DEFAULT '{}',
  deleted_at timestamptz,
  PRIMARY KEY (instance, id)
);
CREATE INDEX clerk_users_person ON smarterbot.clerk_users (ugid);

ALTER TABLE smarterbot.clerk_users ENABLE ROW LEVEL SECURITY;
ALTER TABLE smarterbot.clerk_users FORCE ROW LEVEL SECURITY;
CREATE POLICY person ON smarterbot.clerk_users
  USING (ugid = (SELECT nullif(current_setting('app.ugid', true), '')::uuid));
-- For the functions below alone.
CREATE POLICY directory ON smarterbot.clerk_users TO CURRENT_USER USING (true);

-- Something is told of a user; the user's row is ours to the end of the transaction. No row: it is no news.
CREATE FUNCTION smarterbot.clerk_user_told(
  wanted_instance text, wanted_id text, new_told_ms bigint, is_deleted boolean, at timestamptz
)
  RETURNS TABLE (ugid uuid, phones text[], emails text[])
  LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
  AS $$
  BEGIN
    INSERT INTO smarterbot.clerk_users (instance, id) VALUES (wanted_instance, wanted_id) ON CONFLICT DO NOTHING;
    -- The same moment is told again: whoever took it in before may not have come to its end.
    RETURN QUERY UPDATE smarterbot.clerk_users u
      SET told_ms = greatest(u.told_ms, new_told_ms), deleted_at = CASE WHEN is_deleted THEN at END
      WHERE u.instance = wanted_instance AND u.id = wanted_id AND u.deleted_at IS NULL
        AND (is_deleted OR new_told_ms >= u.told_ms)
      RETURNING u.ugid, u.phones, u.emails;
  END $$;

-- Whose row it is, and what the user alone vouches for.
CREATE FUNCTION smarterbot.clerk_user_is(
  wanted_instance text, wanted_id text, new_ugid uuid, new_phones text[], new_emails text[]
)
  RETURNS void
  LANGUAGE sql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
  AS $$
    UPDATE smarterbot.clerk_users SET ugid = new_ugid, phones = new_phones, emails = new_emails
    WHERE instance = wanted_instance AND id = wanted_id
  $$;

-- Who is erased here is not made anew by a late word of Clerk's.
CREATE FUNCTION smarterbot.clerk_users_forget()
  RETURNS trigger
  LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
  AS $$
  BEGIN
    UPDATE smarterbot.clerk_users SET phones = '{}', emails = '{}', deleted_at = coalesce(deleted_at, NEW.erased_at)
    WHERE ugid = NEW.ugid;
    RETURN NULL;
  END $$;
CREATE TRIGGER clerk_users_forget AFTER UPDATE OF erased_at ON smarterbot.people
  FOR EACH ROW WHEN (NEW.erased_at IS NOT NULL) EXECUTE FUNCTION smarterbot.clerk_users_forget();

REVOKE ALL ON FUNCTION smarterbot.clerk_users_forget(), smarterbot.clerk_user_told(text, text, bigint, boolean, timestamptz),
  smarterbot.clerk_user_is(text, text, uuid, text[], text[]) FROM PUBLIC;
