"""The servers whose token endpoints are measured: how each is started, and where fresh refresh tokens come from."""

from __future__ import annotations

import asyncio
import base64
import http.client
import json
import secrets
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

import asyncpg

from gateway.accounts.sessions import Login
from gateway.cli.workshop import client_office
from gateway.clock import SystemClock
from gateway.config.load import load_settings
from gateway.oauth.state.client_metadata import checked_metadata
from gateway.oauth.state.registry import Rights
from gateway.storage.connect import reach_database
from tests.bench.gateway_side import installed_command
from tests.bench.machine import Cores, pinned, process
from tests.bench.readiness import LeftOut, answering
from tests.gateways import free_port
from tests.oauth.npm import prepare

CREDENTIALS, REFRESH = "client credentials", "refresh"
CALLBACK = "https://app.example.com/callback"
FORM = {"Content-Type": "application/x-www-form-urlencoded"}
CONFIG = """
version: 1
server: {{listen: "127.0.0.1:{port}", internal_listen: null, public_url: "http://127.0.0.1:{port}"}}
data_dir: {directory}/gateway
logging: {{format: json, level: info}}
oauth: {{scopes: {{reports: Read reports}}}}
"""


@dataclass(frozen=True)
class Server:
    """A server under measurement. ``pids`` are those whose CPU time is its own; ``mint`` writes so many refresh tokens
    to a file."""

    name: str
    token_endpoint: str
    authorization: Mapping[str, str]
    pids: tuple[int, ...]
    mint: Callable[[int], Path]


@dataclass(frozen=True)
class Made:
    """What was registered at the gateway: two clients, a browser that has signed in, a database for somebody else."""

    program: tuple[str, str]
    app: tuple[str, str]
    session: str
    database: Mapping[str, Any]


def started(stack: ExitStack, directory: Path, cores: Cores) -> tuple[Server, Server, Server]:
    """Start the gateway, and oidc-provider with either storage; all end with ``stack``."""
    gateway, made = _gateway(stack, directory, cores)
    scripts = prepare(directory / "clients_js")
    memory = _oidc_provider(stack, scripts, cores, "oidc-provider, in memory")
    postgres = _oidc_provider(stack, scripts, cores, "oidc-provider, PostgreSQL", made.database, gateway.pids)
    for server in (gateway, memory, postgres):
        check(server)
    return gateway, memory, postgres


def _gateway(stack: ExitStack, directory: Path, cores: Cores) -> tuple[Server, Made]:
    port, config = free_port(), directory / "gateway.yaml"
    config.write_text(CONFIG.format(directory=directory, port=port), encoding="utf-8")
    command = pinned([cores.proxy], [installed_command(), "serve", "-c", str(config)])
    running = stack.enter_context(process(command, directory, "gateway"))
    answering(port, running)
    made = asyncio.run(_made(config))
    authorization = {CREDENTIALS: _basic(*made.program), REFRESH: _basic(*made.app)}

    def mint(count: int) -> Path:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
        tokens = [_granted(connection, f"127.0.0.1:{port}", made) for _ in range(count)]
        connection.close()
        return _written(directory, tokens)

    url = f"http://127.0.0.1:{port}/oauth/token"
    return Server("this gateway", url, authorization, (running.pid,), mint), made


async def _made(config: Path) -> Made:
    settings = load_settings(config, {}).settings
    async with client_office(settings) as office, reach_database(settings) as (arguments, _):
        accounts = office.accounts
        user = await accounts.users.create("ann", "ann@example.com", None, roles=("user",), is_verified=True)
        session, _ = await accounts.sessions.create(Login(user.id, "127.0.0.1", SystemClock().now()))
        own = {"token_endpoint_auth_method": "client_secret_basic", "id_token_signed_response_alg": "ES256"}
        program = checked_metadata({**own, "client_name": "Program", "grant_types": ["client_credentials"]})
        app = checked_metadata(
            {
                **own,
                "client_name": "App",
                "grant_types": ["authorization_code", "refresh_token"],
                "redirect_uris": [CALLBACK],
            }
        )
        issued = [
            await office.registry.create(metadata, Rights(first_party=True, requires_pkce=False, opens_routes=True))
            for metadata in (program, app)
        ]
        connection = await asyncpg.connect(**arguments)
        await connection.execute("create database oidc_provider")
        await connection.close()
        first, second = ((each.client.id, each.secret or "") for each in issued)
        kept = ("host", "port", "user", "password")
        return Made(first, second, session, {**{name: arguments[name] for name in kept}, "database": "oidc_provider"})


def _granted(connection: http.client.HTTPConnection, host: str, made: Made) -> str:
    """Go through the code flow as a browser that has signed in and as its client; return the refresh token."""
    asked = {
        "client_id": made.app[0],
        "redirect_uri": CALLBACK,
        "response_type": "code",
        "scope": "openid offline_access reports",
        "state": "s",
    }
    cookie = {"Host": host, "Cookie": f"gateway={made.session}", "Accept": "text/html", "Sec-Fetch-Mode": "navigate"}
    connection.request("GET", f"/oauth/authorize?{urlencode(asked)}", headers=cookie)
    answer = connection.getresponse()
    answer.read()
    sent_back = parse_qs(urlsplit(answer.headers["Location"] or "").query)
    redeemed = {"grant_type": "authorization_code", "code": sent_back["code"][0], "redirect_uri": CALLBACK}
    headers = {**FORM, "Host": host, "Authorization": _basic(*made.app)}
    connection.request("POST", "/oauth/token", urlencode(redeemed), headers)
    token: str = json.loads(connection.getresponse().read())["refresh_token"]
    return token


def _oidc_provider(
    stack: ExitStack,
    scripts: Path,
    cores: Cores,
    name: str,
    database: Mapping[str, Any] | None = None,
    pids: tuple[int, ...] = (),
) -> Server:
    port, mint_port, secret = free_port(), free_port(), secrets.token_urlsafe(32)
    environ = {"PORT": str(port), "MINT_PORT": str(mint_port), "CLIENT_SECRET": secret, "NODE_ENV": "production"}
    environ |= {"DATABASE": json.dumps(database)} if database else {}
    command = pinned([cores.proxy], ["node", "bench_provider.mjs"])
    running = stack.enter_context(process(command, scripts, name, environ))
    try:
        answering(port, running)
    except LeftOut as reason:
        said = (scripts / f"{name}.log").read_text(errors="replace").splitlines()
        raise LeftOut(f"{name}: {reason}: {' '.join(said[-12:])}") from reason

    def mint(count: int) -> Path:
        connection = http.client.HTTPConnection("127.0.0.1", mint_port, timeout=30)
        connection.request("GET", f"/{count}")
        tokens = connection.getresponse().read().decode().split()
        connection.close()
        return _written(scripts, tokens)

    authorization = {CREDENTIALS: _basic("program", secret), REFRESH: _basic("app", secret)}
    return Server(name, f"http://127.0.0.1:{port}/token", authorization, (running.pid, *pids), mint)


def check(server: Server) -> None:
    """Raise LeftOut unless the tokens are what is compared, and a wrong secret gets none."""
    refresh = {"grant_type": "refresh_token", "refresh_token": server.mint(1).read_text().strip()}
    for grant, fields, kinds in (
        (CREDENTIALS, {"grant_type": "client_credentials", "scope": "reports"}, ("access_token",)),
        (REFRESH, refresh, ("access_token", "id_token")),
    ):
        status, _ = _asked(server, _spoilt(server.authorization[grant]), fields)
        if status != http.client.UNAUTHORIZED:
            raise LeftOut(f"{server.name} answered {status} to a wrong secret")
        status, answer = _asked(server, server.authorization[grant], fields)
        if status != http.client.OK or {_algorithm(answer[kind]) for kind in kinds} != {"ES256"}:
            raise LeftOut(f"{server.name} answered {status} {answer}")
        if grant == REFRESH and answer["refresh_token"] == refresh["refresh_token"]:
            raise LeftOut(f"{server.name} does not rotate refresh tokens")


def _asked(server: Server, authorization: str, fields: Mapping[str, str]) -> tuple[int, Any]:
    url = urlsplit(server.token_endpoint)
    connection = http.client.HTTPConnection(url.netloc, timeout=10)
    connection.request("POST", url.path, urlencode(fields), {**FORM, "Authorization": authorization})
    answer = connection.getresponse()
    document = json.loads(answer.read())
    connection.close()
    return answer.status, document


def _algorithm(token: str) -> str:
    header = token.partition(".")[0]
    return str(json.loads(base64.urlsafe_b64decode(header + "=" * (-len(header) % 4)))["alg"])


def _basic(name: str, secret: str) -> str:
    return f"Basic {base64.b64encode(f'{name}:{secret}'.encode()).decode()}"


def _spoilt(authorization: str) -> str:
    """Return the same with three other letters in the secret."""
    return f"{authorization[:-8]}eHh4{authorization[-4:]}"


def _written(directory: Path, tokens: list[str]) -> Path:
    path = directory / "tokens"
    path.write_text("".join(f"{token}\n" for token in tokens), encoding="ascii")
    return path
