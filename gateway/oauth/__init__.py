"""The authorization server: one file a grant or endpoint (RFC 6749, OpenID Connect Core 1.0)."""
