"""Passwords: what one must be, how it is stored, and how those of other programs are taken over."""
