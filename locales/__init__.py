"""What people read: one catalogue for each language, keys to Jinja2 texts."""
