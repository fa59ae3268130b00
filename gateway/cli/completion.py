"""``gateway completion``: a script for the shell."""

from __future__ import annotations

import click
from click.shell_completion import get_completion_class


@click.command("completion")
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@click.pass_context
def command(context: click.Context, shell: str) -> None:
    """Print a completion script. For bash: `gateway completion bash >> ~/.bashrc`."""
    completion = get_completion_class(shell)
    if completion is None:  # click knows these three
        raise click.UsageError(f"no completion for {shell}")
    click.echo(completion(context.find_root().command, {}, "gateway", "_GATEWAY_COMPLETE").source())
