"""Accounts taken over from other programs, with the hashes of their passwords."""
