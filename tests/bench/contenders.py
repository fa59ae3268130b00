"""The proxies that are measured: how each is started, and what to send it.

Each is given one core, one worker, keep-alive to client and upstream, and no access log. The gateway alone
writes its access log and keeps its metrics: that is how it runs.
"""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tests.bench.credentials import AUDIENCE, ISSUER, Issuer, forged


@dataclass(frozen=True)
class Contender:
    """A program under measurement. ``good`` are the header fields to be answered 200, ``bad`` those to be refused."""

    name: str
    what: str
    command: Sequence[str]
    url: str
    good: Mapping[str, str] = field(default_factory=dict)
    bad: Mapping[str, str] | None = None
    environ: Mapping[str, str] = field(default_factory=dict)

    @property
    def program(self) -> str:
        return Path(self.command[0]).name


@dataclass(frozen=True)
class Place:
    """Where a contender finds what it needs."""

    directory: Path
    port: int
    upstream_port: int
    issuer: Issuer

    def write(self, name: str, text: str) -> str:
        path = self.directory / name
        path.write_text(text, encoding="utf-8")
        return str(path)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/"

    @property
    def bearer(self) -> Mapping[str, str]:
        return {"Authorization": f"Bearer {self.issuer.token}"}

    @property
    def forged(self) -> Mapping[str, str]:
        return {"Authorization": f"Bearer {forged(self.issuer.token)}"}


NGINX = """
daemon off;
worker_processes 1;
worker_rlimit_nofile 4096;
pid {directory}/{name}.pid;
error_log {directory}/{name}.error warn;
events {{ worker_connections 2048; }}
http {{
    access_log off;
    default_type text/plain;
    keepalive_requests 1000000000;
    client_body_temp_path {directory}/body;
    proxy_temp_path {directory}/proxy;
    fastcgi_temp_path {directory}/fastcgi;
    uwsgi_temp_path {directory}/uwsgi;
    scgi_temp_path {directory}/scgi;
    {body}
}}
"""


def nginx_command(place: Place, name: str, body: str) -> list[str]:
    path = place.write(f"{name}.conf", NGINX.format(directory=place.directory, name=name, body=body))
    return ["nginx", "-e", f"{place.directory}/{name}.error", "-c", path, "-p", str(place.directory)]


def upstream_command(place: Place) -> list[str]:
    """Return a server that answers 1 KiB as fast as anything does, and the issuer's keys."""
    body = f"""
    server {{
        listen 127.0.0.1:{place.port} backlog=1024;
        location = /jwks.json {{ default_type application/json; return 200 '{place.issuer.jwks}'; }}
        location / {{ return 200 "{"x" * 1024}"; }}
    }}"""
    return nginx_command(place, "upstream", body)


def nginx(place: Place) -> Contender:
    body = f"""
    upstream app {{
        server 127.0.0.1:{place.upstream_port};
        keepalive 64;
        keepalive_requests 1000000000;
    }}
    server {{
        listen 127.0.0.1:{place.port} backlog=1024;
        location / {{
            proxy_pass http://app;
            proxy_http_version 1.1;
            proxy_set_header Connection "";
            proxy_set_header X-Forwarded-For $remote_addr;
        }}
    }}"""
    return Contender("nginx", "nginx `proxy_pass`, no authentication", nginx_command(place, "nginx", body), place.url)


def envoy(place: Place) -> Contender:
    def address(port: int) -> dict[str, object]:
        return {"socket_address": {"address": "127.0.0.1", "port_value": port}}

    provider = {
        "issuer": ISSUER,
        "audiences": [AUDIENCE],
        "local_jwks": {"inline_string": place.issuer.jwks},
        "jwt_cache_config": {"jwt_cache_size": 1000},
        "claim_to_headers": [{"header_name": "x-forwarded-user", "claim_name": "sub"}],
    }
    extension = "type.googleapis.com/envoy.extensions"
    filters = [
        {
            "name": "envoy.filters.http.jwt_authn",
            "typed_config": {
                "@type": f"{extension}.filters.http.jwt_authn.v3.JwtAuthentication",
                "providers": {"bench": provider},
                "rules": [{"match": {"prefix": "/"}, "requires": {"provider_name": "bench"}}],
            },
        },
        {
            "name": "envoy.filters.http.router",
            "typed_config": {"@type": f"{extension}.filters.http.router.v3.Router"},
        },
    ]
    manager = {
        "@type": f"{extension}.filters.network.http_connection_manager.v3.HttpConnectionManager",
        "stat_prefix": "bench",
        "http_filters": filters,
        "route_config": {
            "virtual_hosts": [
                {"name": "all", "domains": ["*"], "routes": [{"match": {"prefix": "/"}, "route": {"cluster": "app"}}]}
            ]
        },
    }
    chain = {"filters": [{"name": "envoy.filters.network.http_connection_manager", "typed_config": manager}]}
    endpoint = {"lb_endpoints": [{"endpoint": {"address": address(place.upstream_port)}}]}
    cluster = {
        "name": "app",
        "type": "STATIC",
        "connect_timeout": "2s",
        "load_assignment": {"cluster_name": "app", "endpoints": [endpoint]},
    }
    listener = {"name": "in", "address": address(place.port), "filter_chains": [chain]}
    document = {"static_resources": {"listeners": [listener], "clusters": [cluster]}}
    path = place.write("envoy.json", json.dumps(document))
    command = [
        str(Path(sys.executable).parent / "envoy"),
        *("-c", path, "--concurrency", "1", "--disable-hot-restart", "--log-level", "error"),
    ]
    return Contender("envoy", "Envoy `jwt_authn`, cached token", command, place.url, place.bearer, place.forged)


def caddy(place: Place) -> Contender:
    text = f"""
{{
    admin off
    auto_https off
}}
http://127.0.0.1:{place.port} {{
    bind 127.0.0.1
    reverse_proxy 127.0.0.1:{place.upstream_port} {{
        transport http {{
            keepalive_idle_conns_per_host 64
        }}
    }}
}}
"""
    path = place.write("Caddyfile", text)
    environ = {"GOMAXPROCS": "1", "XDG_DATA_HOME": str(place.directory), "XDG_CONFIG_HOME": str(place.directory)}
    command = ["caddy", "run", "--adapter", "caddyfile", "--config", path]
    return Contender("caddy", "Caddy `reverse_proxy`, no authentication", command, place.url, environ=environ)


def haproxy(place: Place, name: str = "haproxy") -> Contender:
    key = place.directory / f"{name}.pem"
    key.write_bytes(place.issuer.public_pem)
    issuer, audience = place.issuer.name, place.issuer.audience
    text = f"""
global
    nbthread 1
    maxconn 2048
defaults
    mode http
    timeout connect 2s
    timeout client 60s
    timeout server 60s
    option http-keep-alive
    http-reuse always
frontend in
    bind 127.0.0.1:{place.port}
    http-request set-var(txn.bearer) http_auth_bearer
    http-request deny deny_status 401 unless {{ var(txn.bearer),jwt_header_query('$.alg') -m str ES256 }}
    http-request deny deny_status 401 unless {{ var(txn.bearer),jwt_verify("ES256","{key}") -m int 1 }}
    http-request deny deny_status 401 unless {{ var(txn.bearer),jwt_payload_query('$.iss') -m str {issuer} }}
    http-request deny deny_status 401 unless {{ var(txn.bearer),jwt_payload_query('$.aud') -m str {audience} }}
    http-request set-header X-Forwarded-User %[var(txn.bearer),jwt_payload_query('$.sub')]
    default_backend app
backend app
    server app 127.0.0.1:{place.upstream_port}
"""
    command = ["haproxy", "-db", "-f", place.write(f"{name}.cfg", text)]
    return Contender(name, "HAProxy `jwt_verify` ES256", command, place.url, place.bearer, place.forged)


def oauth2_proxy(place: Place) -> Contender:
    upstream = f"http://127.0.0.1:{place.upstream_port}"
    options = {
        "http-address": f"127.0.0.1:{place.port}",
        "upstream": f"{upstream}/",
        "provider": "oidc",
        "skip-oidc-discovery": "true",
        "oidc-issuer-url": ISSUER,
        "oidc-jwks-url": f"{upstream}/jwks.json",
        "login-url": f"{ISSUER}/authorize",
        "redeem-url": f"{ISSUER}/token",
        "client-id": AUDIENCE,
        "client-secret": "not-used-for-bearer-tokens",
        "cookie-secret": "0123456789abcdef0123456789abcdef",
        "email-domain": "*",
        "skip-jwt-bearer-tokens": "true",
        "request-logging": "false",
        "auth-logging": "false",
    }
    command = ["oauth2-proxy", *(f"--{name}={value}" for name, value in options.items())]
    return Contender(
        "oauth2-proxy",
        f"oauth2-proxy, bearer JWT {place.issuer.key['kty']}",
        command,
        place.url,
        place.bearer,
        place.forged,
        {"GOMAXPROCS": "1"},
    )


def heimdall(place: Place) -> Contender:
    upstream = f"127.0.0.1:{place.upstream_port}"
    assertions = {"issuers": [ISSUER], "audience": [AUDIENCE], "allowed_algorithms": ["ES256"]}
    jwt = {"jwks_endpoint": {"url": f"http://{upstream}/jwks.json"}, "assertions": assertions, "cache_ttl": "10m"}
    rule = {
        "id": "all",
        "match": {"routes": [{"path": "/**"}]},
        "forward_to": {"host": upstream, "rewrite": {"scheme": "http"}},
        "execute": [{"authenticator": "jwt"}, {"finalizer": "user"}],
    }
    document = {
        "serve": {"host": "127.0.0.1", "port": place.port},
        "log": {"level": "error"},
        "cache": {"type": "in-memory"},
        "mechanisms": {
            "authenticators": [{"id": "jwt", "type": "jwt", "config": jwt}],
            "finalizers": [
                {"id": "user", "type": "header", "config": {"headers": {"X-Forwarded-User": "{{ .Subject.ID }}"}}}
            ],
        },
        "providers": {
            "file_system": {
                "src": place.write("heimdall-rules.json", json.dumps({"version": "1alpha4", "rules": [rule]}))
            }
        },
    }
    path = place.write("heimdall.json", json.dumps(document))
    command = ["heimdall", "serve", "proxy", "-c", path, "--insecure"]
    return Contender(
        "heimdall",
        "Heimdall, JWT, cached key",
        command,
        place.url,
        place.bearer,
        place.forged,
        {"GOMAXPROCS": "1"},
    )


# In the order of the report. Envoy comes from PyPI; the others are measured where they are installed.
OTHERS: Sequence[tuple[str, Callable[[Place], Contender]]] = (
    ("nginx", nginx),
    ("envoy", envoy),
    ("caddy", caddy),
    ("haproxy", haproxy),
    ("oauth2-proxy", oauth2_proxy),
    ("heimdall", heimdall),
)


def installed(program: str) -> bool:
    beside = Path(sys.executable).parent / program
    return beside.exists() or shutil.which(program) is not None
