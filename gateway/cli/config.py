"""``gateway config``: check, show, schema, init."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import click

from gateway.cli.context import config_option, loaded_from, output_option
from gateway.cli.output import emit
from gateway.config.rules import compile_rules
from gateway.config.schema import json_schema
from gateway.config.starter import STARTER
from gateway.errors import StartupError


@click.group("config")
def command() -> None:
    """Look at the configuration."""


@command.command("check")
@config_option
@click.pass_context
def check(context: click.Context) -> None:
    """Say whether the configuration can be used; every problem with file, line and column."""
    loaded = loaded_from(context)
    compile_rules(loaded.settings)
    routes = len(loaded.settings.routes)
    click.echo(f"{loaded.path or 'defaults'}: good, {routes} route{'' if routes == 1 else 's'}")
    if not routes:
        click.echo("note: without routes every request is answered with 404; start with: gateway config init")


@command.command("show")
@config_option
@output_option
@click.pass_context
def show(context: click.Context, output: str) -> None:
    """Print the effective values and where each comes from. Secrets are masked."""
    loaded = loaded_from(context)
    values = loaded.settings.model_dump(mode="json", by_alias=True)
    rows = [{"key": key, "value": value, "origin": _origin(key, loaded.origins)} for key, value in _flat(values, "")]
    emit(rows, output)


def _flat(value: Any, key: str) -> Iterator[tuple[str, Any]]:
    if isinstance(value, dict) and value:
        for name, inner in value.items():
            yield from _flat(inner, f"{key}.{name}" if key else name)
    elif isinstance(value, list) and any(isinstance(item, dict) for item in value):
        for index, inner in enumerate(value):
            yield from _flat(inner, f"{key}[{index}]")
    else:
        yield key, value if value not in ({}, []) else None


def _origin(key: str, origins: Mapping[str, str]) -> str:
    return origins.get(key) or "default"


@command.command("schema")
def schema() -> None:
    """Print the JSON Schema, for editors that complete and check YAML."""
    click.echo(json.dumps(json_schema(), indent=2))


@command.command("init")
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
