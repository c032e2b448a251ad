-- What the app's role may do. Applied after every migration, so that a new role or table needs nothing more.

GRANT USAGE ON SCHEMA smarterbot TO :app;
GRANT SELECT ON smarterbot.installation TO :app;
GRANT SELECT, INSERT, UPDATE ON smarterbot.tenants, smarterbot.channels TO :app;
GRANT SELECT, INSERT, UPDATE, DELETE ON
  smarterbot.contacts, smarterbot.contact_addresses, smarterbot.conversations, smarterbot.turns, smarterbot.messages,
  smarterbot.message_statuses, smarterbot.refusals, smarterbot.handoffs, smarterbot.media, smarterbot.media_uploads
  TO :app;
GRANT SELECT, INSERT, UPDATE, DELETE ON smarterbot.message_fares TO :app;
GRANT SELECT, INSERT, UPDATE, DELETE ON smarterbot.templates, smarterbot.channel_health, smarterbot.alerts TO :app;
-- A ledger and a drawer: what was put in stays.
GRANT SELECT, INSERT ON smarterbot.consents, smarterbot.proofs_voided TO :app;
GRANT INSERT ON smarterbot.journal_rejects TO :app;
GRANT EXECUTE ON FUNCTION smarterbot.directory_tenants(), smarterbot.directory_channels() TO :app;
GRANT EXECUTE ON FUNCTION
  smarterbot.directory_templates(), smarterbot.directory_holds(), smarterbot.directory_alerts()
  TO :app;
GRANT SELECT, INSERT, UPDATE ON smarterbot.api_keys, smarterbot.campaigns TO :app;
GRANT SELECT, INSERT ON smarterbot.campaign_recipients TO :app;
GRANT UPDATE (phone, bsuid, contact_id, message, evidence) ON smarterbot.campaign_recipients TO :app;
GRANT EXECUTE ON FUNCTION smarterbot.directory_keys(), smarterbot.has_keys(uuid[]) TO :app;
GRANT SELECT, INSERT, UPDATE ON smarterbot.people, smarterbot.memberships TO :app;
GRANT SELECT, INSERT, UPDATE, DELETE ON smarterbot.identities, smarterbot.user_auth, smarterbot.sessions TO :app;
GRANT INSERT ON smarterbot.identity_outbox TO :app;
GRANT SELECT, INSERT, UPDATE, DELETE ON smarterbot.signing_keys TO :app;
GRANT EXECUTE ON FUNCTION
  smarterbot.identity_person(text, text, text, boolean), smarterbot.forget_sessions(timestamptz) TO :app;
GRANT SELECT ON smarterbot.clerk_users TO :app;
GRANT EXECUTE ON FUNCTION smarterbot.clerk_user_told(text, text, bigint, boolean, timestamptz),
  smarterbot.clerk_user_is(text, text, uuid, text[], text[]) TO :app;
GRANT SELECT, INSERT, UPDATE, DELETE ON smarterbot.systems TO :app;
GRANT SELECT, INSERT, UPDATE ON smarterbot.identity_deliveries TO :app;
GRANT EXECUTE ON FUNCTION smarterbot.identity_outbox_waiting(integer),
  smarterbot.identity_outbox_carried(bigint[], timestamptz), smarterbot.identity_versions(uuid[], uuid) TO :app;
GRANT SELECT, INSERT, UPDATE ON smarterbot.signups, smarterbot.firm_parts, smarterbot.join_requests TO :app;
GRANT SELECT, INSERT ON smarterbot.agreements TO :app;
GRANT EXECUTE ON FUNCTION smarterbot.tenant_of_rut(text) TO :app;
GRANT SELECT, INSERT, UPDATE ON smarterbot.invitations TO :app;
GRANT EXECUTE ON FUNCTION smarterbot.invitations_for(bytea, timestamptz), smarterbot.expire_invitations(timestamptz) TO :app;
GRANT SELECT, INSERT, UPDATE ON smarterbot.number_connections TO :app;
