"""Chatwoot: a firm's helpdesk. The people of the firm are its contacts, by UGID."""
