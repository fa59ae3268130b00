"""``gateway config``: check, show, schema, init."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import click

from gateway.cli import MISUSED
from gateway.cli.context import config_option, loaded_from, output_option
from gateway.cli.output import emit
from gateway.config.load import Loaded
from gateway.config.schema import schema_text
from gateway.config.starter import STARTER
from gateway.errors import ConfigError, StartupError


@click.group("config")
def command() -> None:
    """Look at the configuration."""


@command.command("check")
@config_option
@output_option
@click.pass_context
def check(context: click.Context, output: str) -> int:
    """Say whether the configuration can be used; every problem with file, line and column."""
    try:
        loaded = loaded_from(context, rules=True)
    except ConfigError as error:
        if output == "text":
            raise
        emit({"valid": False, "problems": [asdict(problem) for problem in error.problems], "warnings": []}, output)
        return MISUSED
    if output == "json":
        emit({"valid": True, "problems": [], "warnings": [asdict(warning) for warning in loaded.warnings]}, output)
        return 0
    for warning in loaded.warnings:
        click.echo(replace(warning, message=f"warning: {warning.message}"), err=True)
    count = len(loaded.settings.routes)
    click.echo(f"{loaded.path or 'no file, defaults'}: good, {count} route{'' if count == 1 else 's'}")
    if not count:
        click.echo("note: without routes every request is answered with 404; start with: gateway config init", err=True)
    return 0


@command.command("show")
@config_option
@output_option
@click.pass_context
def show(context: click.Context, output: str) -> None:
    """Print the effective values and where each comes from. Secrets are masked."""
    loaded = loaded_from(context)
    values = loaded.settings.model_dump(mode="json", by_alias=True)
    rows = [{"key": key, "value": value, "origin": _origin(key, loaded)} for key, value in _flat(values, "")]
    emit(rows, output)


def _flat(value: Any, key: str) -> Iterator[tuple[str, Any]]:
    if isinstance(value, dict) and value:
        for name, inner in value.items():
            yield from _flat(inner, f"{key}.{name}" if key else name)
    elif isinstance(value, list) and any(isinstance(item, dict) for item in value):
        for index, inner in enumerate(value):
            yield from _flat(inner, f"{key}[{index}]")
    else:
        yield key, value


def _origin(key: str, loaded: Loaded) -> str:
    """Return where a value was given; a section that a variable or line gave whole counts for what it holds."""
    settings = loaded.settings
    files = {"database.url": settings.database.url_file, "authz.key": settings.authz.key_file}
    if (file := files.get(key)) is not None:
        return f"{file} ({loaded.origins[f'{key}_file']})"
    return loaded.origins.get(key, "default")


@command.command("schema")
@config_option
def schema() -> None:
    """Print the JSON Schema, for editors that complete and check YAML."""
    click.echo(schema_text(), nl=False)


@command.command("init")
@config_option
@click.option("-o", "--output-file", "target", type=click.Path(path_type=Path), help="Write here, not to the terminal.")
def init(target: Path | None) -> None:
    """Print a commented configuration to start from. Never overwrites a file."""
    if target is None:
        click.echo(STARTER, nl=False)
        return
    try:
        with target.open("x", encoding="utf-8") as file:
            file.write(STARTER)
    except FileExistsError as error:
        raise StartupError(f"{target} exists already: choose another name with -o") from error
    except OSError as error:
        raise StartupError(f"cannot write {target}: {error.strerror}") from error
    click.echo(f"wrote {target}; check it with: gateway config check -c {target}")
