"""Conversations with a firm's own people, on the platform's number."""
