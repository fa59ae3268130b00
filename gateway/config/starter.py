"""The configuration that ``gateway config init`` writes."""

from __future__ import annotations

from typing import Final

STARTER: Final = """\
# Gateway configuration. Check it with: gateway config check
version: 1

server:
  listen: 127.0.0.1:8080
  # Where people reach the gateway. Its pages (/login, /logout, /register) are on this host.
  public_url: http://localhost:8080
  # Behind nginx or a load balancer: the addresses whose X-Forwarded-* fields may be believed.
  # trusted_proxies: [127.0.0.1/32]

# Without this, the gateway runs a PostgreSQL of its own below data_dir.
# database: {url_file: /run/secrets/database_url}

routes:
  # The first route that matches decides. What matches none is answered with 404.
  - name: health
    match: {path: /healthz, methods: [GET]}
    access: public
    upstream: http://127.0.0.1:8000

  - name: admin
    match: {path: /admin/**}
    require: {roles: [admin]}
    upstream: http://127.0.0.1:8000

  # Everything else: anybody who is signed in. The application reads X-Forwarded-User and -Groups.
  - name: application
    match: {path: /**}
    upstream: http://127.0.0.1:8000
"""
