-- Statuses and fares come by the thousand. A reference from each to its firm is a lookup and a lock of the same row for
-- each of them, half of what writing one cost, and tells nothing: the row policy lets no row of another firm in.
ALTER TABLE smarterbot.message_statuses DROP CONSTRAINT message_statuses_tenant_id_fkey;
ALTER TABLE smarterbot.message_fares DROP CONSTRAINT message_fares_tenant_id_fkey;

-- What we say is written, and changed once or twice soon after: with room on its page no index hears of that.
ALTER TABLE smarterbot.messages SET (fillfactor = 70);
ALTER TABLE smarterbot.message_fares SET (fillfactor = 70);
ALTER TABLE smarterbot.conversations SET (fillfactor = 70);
