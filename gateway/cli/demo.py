"""``gateway demo``."""

from __future__ import annotations

import os
import socket
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import click

from gateway.cli.context import config_option
from gateway.cli.output import run
from gateway.errors import StartupError

if TYPE_CHECKING:
    from gateway.app import Gateway
    from gateway.config.settings import Settings

_UPSTREAM = "sample"


@click.command("demo")
@click.option("--port", default=8080, show_default=True, type=click.IntRange(1, 65535), help="Where to listen.")
@click.option(
    "--data-dir",
    default="var/demo",
    show_default=True,
    type=click.Path(path_type=Path, file_okay=False),
    help="What the demo keeps: database and passwords.",
)
@config_option
@click.pass_context
def command(context: click.Context, port: int, data_dir: Path) -> None:
    """Run a gateway, its own PostgreSQL and a sample application, with three accounts to try."""
    from gateway.config.load import load_settings

    _require_free(port)
    path = context.ensure_object(dict).get("config") or demo_configuration()
    settings = load_settings(path, _environment(os.environ, port, data_dir), rules=True).settings
    run(_demo(settings, port))


def demo_configuration() -> Path:
    """Return the demo's configuration: inside an installed package, else in the repository."""
    package = Path(__file__).resolve().parent.parent
    for path in (package / "demo" / "demo.yaml", package.parent / "config" / "demo.yaml"):
        if path.is_file():
            return path
    raise StartupError("the demo's configuration is missing: install auth-gateway again")


def _environment(environ: Mapping[str, str], port: int, data_dir: Path) -> dict[str, str]:
    return {
        **environ,
        "GATEWAY_SERVER__LISTEN": f"127.0.0.1:{port}",
        "GATEWAY_SERVER__PUBLIC_URL": f"http://localhost:{port}",
        "GATEWAY_DATA_DIR": str(data_dir.absolute()),
    }


async def _demo(settings: Settings, port: int) -> None:
    from gateway.demo.announcement import announcement
    from gateway.demo.application import running
    from gateway.demo.people import settle
    from gateway.serving import run_gateway

    async with running() as sample_port:

        async def ready(gateway: Gateway) -> None:
            click.echo(announcement(await settle(gateway.accounts, settings.data_dir), port))

        await run_gateway(_with_sample(settings, sample_port), ready=ready)


def _with_sample(settings: Settings, port: int) -> Settings:
    """Send the sample application's upstream to the port it got."""
    if _UPSTREAM not in settings.upstreams:
        raise StartupError(f"the demo's configuration needs an upstream named {_UPSTREAM}")
    sample = settings.upstreams[_UPSTREAM].model_copy(update={"servers": (f"http://127.0.0.1:{port}",)})
    return settings.model_copy(update={"upstreams": {**settings.upstreams, _UPSTREAM: sample}})


def _require_free(port: int) -> None:
    """Raise StartupError before anything is started, when another program has the port."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except PermissionError as error:
            raise StartupError(f"port {port} needs root; choose another: --port 8080") from error
        except OSError as error:
            raise StartupError(
                f"port {port} is in use by another program; choose another: --port {port + 1}"
            ) from error
