"""Guessing made slow: failures counted in PostgreSQL for all processes together."""
