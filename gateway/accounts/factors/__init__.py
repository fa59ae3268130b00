"""What people prove beside their password: codes of an app, recovery codes, passkeys."""
