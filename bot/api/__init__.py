"""The API for firms' own systems: messages and campaigns by intent, and what became of them."""
