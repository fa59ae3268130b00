"""The ``gateway`` command: its groups, and what an error becomes.

Exit codes: 0 done, 1 the thing asked is false or failed, 2 wrong usage or configuration.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Mapping
from typing import Any, Final, NoReturn

import click
from click.shell_completion import CompletionItem

from gateway.cli.context import config_option
from gateway.errors import ConfigError, GatewayError

# One file a command: its module, and what it is for. Modules are imported when their command is named, so that
# help, completion and `gateway version` are quick.
COMMANDS: Final[Mapping[str, tuple[str, str]]] = {
    "serve": ("serve", "Run the gateway."),
    "demo": ("demo", "Run the gateway before a sample application."),
    "config": ("config", "Check, show or begin a configuration."),
    "route": ("route", "See what the routes decide, and why."),
    "user": ("user", "Add, list, change and delete users."),
    "token": ("token", "Create, list and revoke API tokens."),
    "client": ("client", "Add, list, change and delete OAuth clients."),
    "session": ("session", "List and revoke browser sessions."),
    "keys": ("keys", "List, rotate and retire signing keys."),
    "db": ("db", "Migrate the database, and see where it stands."),
    "hash-password": ("hash_password", "Hash a password from standard input."),
    "healthcheck": ("healthcheck", "Exit 0 when the gateway on this machine is ready."),
    "version": ("version", "Print versions."),
    "completion": ("completion", "Print a completion script for the shell."),
}
FAILED: Final = 1
MISUSED: Final = 2
INTERRUPTED: Final = 130  # 128 + SIGINT, as shells count


class _Commands(click.Group):
    """A group that imports a command when it is named."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        if cmd_name not in COMMANDS:
            return None
        module = importlib.import_module(f"gateway.cli.{COMMANDS[cmd_name][0]}")
        command: click.Command = module.command
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        with formatter.section("Commands"):
            formatter.write_dl([(name, purpose) for name, (_, purpose) in COMMANDS.items()])

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        named = [
            CompletionItem(name, help=purpose) for name, (_, purpose) in COMMANDS.items() if name.startswith(incomplete)
        ]
        # What click adds for groups would import every command; what it adds for commands are the options.
        return [*named, *click.Command.shell_complete(self, ctx, incomplete)]


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"]})
@config_option
def cli() -> None:
    """An authentication gateway: it signs people in and tells your applications who they are."""


def main(arguments: list[str] | None = None) -> NoReturn:
    """Run a command and exit with its code; every expected failure is one line a problem on stderr."""
    try:
        result: Any = cli.main(args=arguments, prog_name="gateway", standalone_mode=False)
    except click.ClickException as error:
        _say(_usage(error))
        sys.exit(error.exit_code)
    except click.Abort:
        sys.exit(INTERRUPTED)
    except ConfigError as error:
        for problem in error.problems:
            # Like a compiler: editors jump to what begins with file:line:column.
            click.echo(problem if problem.line else f"error: {problem}", err=True)
        sys.exit(MISUSED)
    except GatewayError as error:
        _say(str(error))
        sys.exit(FAILED)
    except BrokenPipeError:
        sys.stderr.close()  # the reader left (`| head`): nothing more can be said
        sys.exit(FAILED)
    sys.exit(result if isinstance(result, int) else 0)


def _say(message: str) -> None:
    click.echo(f"error: {' '.join(message.split())}", err=True)


def _usage(error: click.ClickException) -> str:
    message = error.format_message()
    context = error.ctx if isinstance(error, click.UsageError) else None
    return f"{message.rstrip('.')}; see: {context.command_path} --help" if context else message
