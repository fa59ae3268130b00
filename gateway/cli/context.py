"""What every command shares: ``-c/--config`` before or after its name, and the settings it leads to."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

if TYPE_CHECKING:
    from gateway.config.load import Loaded
    from gateway.config.settings import Settings

Command = TypeVar("Command", bound=Callable[..., Any])


def _remember(context: click.Context, _parameter: click.Parameter, value: Path | None) -> None:
    if value is not None:
        context.ensure_object(dict)["config"] = value


def config_option(command: Command) -> Command:
    """Accept ``-c/--config FILE``. The innermost one given counts."""
    return click.option(
        "-c",
        "--config",
        type=click.Path(path_type=Path),
        expose_value=False,
        callback=_remember,
        help="The configuration file. Searched: $GATEWAY_CONFIG, ./gateway.yaml, /etc/gateway/gateway.yaml.",
    )(command)


def output_option(command: Command) -> Command:
    """Accept ``--output text|json``."""
    return click.option(
        "--output",
        type=click.Choice(["text", "json"]),
        default="text",
        show_default=True,
        help="How to print the result.",
    )(command)


def loaded_from(context: click.Context, *, rules: bool = False) -> Loaded:
    """Read the configuration that this invocation names; with ``rules``, its routes' deeper problems as well.

    Raises ConfigError.
    """
    from gateway.config.load import load_settings  # late: `gateway version` and completion do without

    return load_settings(context.ensure_object(dict).get("config"), rules=rules)


def settings_from(context: click.Context, *, rules: bool = False) -> Settings:
    """Return the settings that this invocation names. Raises ConfigError."""
    return loaded_from(context, rules=rules).settings
