"""``gateway healthcheck``, for container probes."""

from __future__ import annotations

import http.client
import socket
import ssl
from typing import Final

import click

from gateway.cli.context import config_option, settings_from
from gateway.config.server import Server
from gateway.errors import StartupError

_TIMEOUT_SECONDS: Final = 3.0


class _UnixConnection(http.client.HTTPConnection):
    """HTTP over a unix socket."""

    def __init__(self, path: str) -> None:
        super().__init__("localhost", timeout=_TIMEOUT_SECONDS)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(_TIMEOUT_SECONDS)
        self.sock.connect(self._path)


@click.command("healthcheck")
@config_option
@click.pass_context
def command(context: click.Context) -> None:
    """Exit 0 when the gateway on this machine is ready, 1 when it is not."""
    connection, path = probe(settings_from(context).server)
    try:
        connection.request("GET", path)
        response = connection.getresponse()
        body = response.read(200).decode("utf-8", "replace").strip()
    except OSError as error:
        raise StartupError(f"not reachable: {error.strerror or error}") from error
    finally:
        connection.close()
    if response.status != http.client.OK:
        raise StartupError(f"not ready: {body}")
    click.echo("ready")


def probe(server: Server) -> tuple[http.client.HTTPConnection, str]:
    """Return where to ask: the internal listener, or without one the public."""
    address = server.internal_listen or server.listen[0]
    path = "/readyz" if server.internal_listen else "/.gateway/readyz"
    if address.startswith("unix:"):
        return _UnixConnection(address.removeprefix("unix:")), path
    host, _, port = address.rpartition(":")
    host = {"0.0.0.0": "127.0.0.1", "[::]": "::1"}.get(host, host.strip("[]"))
    if server.tls is not None and not server.internal_listen:
        # It asks whether this machine's gateway is ready; whose certificate it has is for its clients to look at.
        context = ssl._create_unverified_context()  # noqa: S323, SLF001
        return http.client.HTTPSConnection(host, int(port), timeout=_TIMEOUT_SECONDS, context=context), path
    return http.client.HTTPConnection(host, int(port), timeout=_TIMEOUT_SECONDS), path
