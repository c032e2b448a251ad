"""Who a person is across the platform: codes, sessions, access tokens, and their routes."""
