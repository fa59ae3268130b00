"""Sockets and who comes in by them: TLS, the PROXY protocol, how many, and for how long."""
