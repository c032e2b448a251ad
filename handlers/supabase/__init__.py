"""Supabase: its own login's codes travel by WhatsApp."""
