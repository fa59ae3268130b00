"""``gateway serve``."""

from __future__ import annotations

import click

from gateway.cli.context import config_option, settings_from
from gateway.cli.output import run


@click.command("serve")
@config_option
@click.pass_context
def command(context: click.Context) -> None:
    """Run the gateway until it is told to stop (SIGTERM or Ctrl-C)."""
    from gateway.serving import run_gateway

    run(run_gateway(settings_from(context, rules=True)))
