"""``gateway completion``: a script for the shell."""

from __future__ import annotations

import click
from click.shell_completion import get_completion_class

from gateway.cli.context import config_option


@click.command("completion")
@config_option
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@click.pass_context
def command(context: click.Context, shell: str) -> None:
    r"""Print a completion script for the shell.

    \b
    bash: echo 'eval "$(gateway completion bash)"' >> ~/.bashrc
    zsh:  echo 'eval "$(gateway completion zsh)"' >> ~/.zshrc
    fish: gateway completion fish > ~/.config/fish/completions/gateway.fish
    """
    completion = get_completion_class(shell)
    if completion is None:  # click knows these three
        raise click.UsageError(f"no completion for {shell}")
    click.echo(completion(context.find_root().command, {}, "gateway", "_GATEWAY_COMPLETE").source())
