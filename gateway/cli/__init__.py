"""The ``gateway`` command: its groups, and what an error becomes.

Exit codes: 0 done, 1 the thing asked is false or failed, 2 wrong usage or configuration.
"""

from __future__ import annotations

import importlib
import sys
from typing import Any, Final, NoReturn

import click

from gateway.cli.context import config_option
from gateway.errors import ConfigError, GatewayError

# One file a command. They are imported when asked for, so that `gateway version` is quick.
COMMANDS: Final = {
    "serve": "serve",
    "demo": "demo",
    "config": "config",
    "route": "route",
    "user": "user",
    "token": "token",
    "session": "session",
    "keys": "keys",
    "db": "db",
    "hash-password": "hash_password",
    "healthcheck": "healthcheck",
    "version": "version",
    "completion": "completion",
}
FAILED: Final = 1
MISUSED: Final = 2


class _Commands(click.Group):
    """A group that imports a command when it is named."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        if cmd_name not in COMMANDS:
            return None
        module = importlib.import_module(f"gateway.cli.{COMMANDS[cmd_name]}")
        command: click.Command = module.command
        return command


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"]})
@config_option
def cli() -> None:
    """An authentication gateway: it signs people in and tells your applications who they are."""


def main(arguments: list[str] | None = None) -> NoReturn:
    """Run a command and exit with its code; every expected failure is one line a problem on stderr."""
    try:
        result: Any = cli.main(args=arguments, prog_name="gateway", standalone_mode=False)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except click.Abort:
        sys.exit(130)
    except ConfigError as error:
        for problem in error.problems:
            click.echo(f"error: {problem}", err=True)
        sys.exit(MISUSED)
    except GatewayError as error:
        click.echo(f"error: {error}", err=True)
        sys.exit(FAILED)
    except BrokenPipeError:
        sys.stderr.close()  # the reader left (`| head`): nothing more can be said
        sys.exit(FAILED)
    sys.exit(result if isinstance(result, int) else 0)
