"""The tenants' files: where their bytes lie, what is known of them, and for how long."""
