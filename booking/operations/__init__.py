"""Verbs: what the business does, inside the caller's transaction; flush, never commit."""
