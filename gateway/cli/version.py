"""``gateway version``."""

from __future__ import annotations

import json
import platform
from importlib.metadata import version

import click


@click.command("version")
@click.option("--json", "as_json", is_flag=True, help="Print a JSON object.")
def command(as_json: bool) -> None:
    """Print the versions of the gateway and of what it stands on."""
    versions = {
        "gateway": version("auth-gateway"),
        "python": platform.python_version(),
        "aiohttp": version("aiohttp"),
    }
    if as_json:
        click.echo(json.dumps(versions))
        return
    click.echo(f"gateway {versions['gateway']} (Python {versions['python']}, aiohttp {versions['aiohttp']})")
