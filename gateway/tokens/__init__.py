"""Signing keys, access tokens and refresh-token families."""
