"""The gateway under measurement: its configuration, an account, and one credential of each kind."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from gateway.accounts.sessions import Login
from gateway.cli.workshop import workshop
from gateway.clock import SystemClock
from gateway.config.load import load_settings
from tests.bench.cold import Cold, prepare
from tests.bench.contenders import Contender
from tests.bench.credentials import forged
from tests.bench.machine import pinned, process
from tests.bench.readiness import answering

CONFIG = """
version: 1
server: {{listen: "127.0.0.1:{port}", internal_listen: null, public_url: "http://localhost:{port}"}}
data_dir: {directory}/gateway
# The tokens are made before the first round and must last through the final one.
tokens: {{access_lifetime: 12h}}
logging: {{format: json, level: info}}
upstreams:
  app: {{servers: ["http://127.0.0.1:{upstream_port}"]}}
routes:
  - {{name: admin, match: {{host: localhost, path: /admin/**}}, require: {{roles: [admin]}}, upstream: app}}
  - {{name: app, match: {{host: localhost}}, require: {{roles: [user]}}, upstream: app}}
"""


@dataclass(frozen=True)
class Credentials:
    """What one person may present."""

    jwt: str
    api_token: str
    session: str
    cold: Cold


def configure(directory: Path, port: int, upstream_port: int) -> Path:
    path = directory / "gateway.yaml"
    path.write_text(CONFIG.format(directory=directory, port=port, upstream_port=upstream_port), encoding="utf-8")
    return path


async def _credentials(config: Path, runs: int, tokens: int) -> Credentials:
    settings = load_settings(config, {}).settings
    async with workshop(settings) as accounts:
        user = await accounts.users.create("ann", "ann@example.com", None, roles=("user",), is_verified=True)
        await accounts.keys.load()
        pair = await accounts.refresh_tokens.start_family(user.id)
        _, api_token = await accounts.api_tokens.create(user.id, "bench", (), None)
        session, _ = await accounts.sessions.create(Login(user.id, "localhost", SystemClock().now()))
        cold = await prepare(accounts, user.id, config.parent, runs, tokens)
        return Credentials(pair.access_token, api_token, session, cold)


@contextmanager
def gateway(
    config: Path, core: int, port: int, command: Sequence[str] = (), *, runs: int = 0, tokens: int = 0
) -> Iterator[tuple[int, Credentials]]:
    """Serve, make an account beside the running server, and give the process and what its owner may present.

    For so many ``runs`` there will be ``tokens`` that were never presented.
    """
    serve = pinned([core], [*(command or (installed_command(),)), "serve", "-c", str(config)])
    with process(serve, config.parent, "gateway") as started:
        answering(port, started)
        yield started.pid, asyncio.run(_credentials(config, runs, tokens))


def installed_command() -> str:
    return str(Path(sys.executable).parent / "gateway")


def contenders(made: Credentials, port: int) -> Sequence[Contender]:
    """Return one contender for each kind of credential; all are the same process."""
    url = f"http://127.0.0.1:{port}/"
    host = {"Host": f"localhost:{port}"}

    def bearer(token: str) -> Mapping[str, str]:
        return host | {"Authorization": f"Bearer {token}"}

    def cookie(value: str) -> Mapping[str, str]:
        return host | {"Cookie": f"gateway={value}"}

    jwt, forgery = bearer(made.jwt), bearer(forged(made.jwt))
    kinds = (
        ("jwt", "JWT", jwt, forgery),
        ("session", "session cookie", cookie(made.session), cookie(f"{made.session[:-4]}AAAA")),
        ("api-token", "API token", bearer(made.api_token), bearer(f"{made.api_token[:-8]}AAAAAAAA")),
        ("cold", "new JWT of a new login", jwt, forgery),
        ("renewed", "new JWT of a known login", jwt, forgery),
    )
    return [
        Contender(f"gateway-{name}", f"this gateway, {what}", (), url, good, bad) for name, what, good, bad in kinds
    ]
