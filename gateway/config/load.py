"""Find the configuration, read it, and return settings or every problem at once."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from pydantic import SecretStr, ValidationError

from gateway.config.complaints import problems_of
from gateway.config.crosscheck import crosscheck
from gateway.config.document import Document, KeyPath, key_text, read_document
from gateway.config.environment import override
from gateway.config.settings import Settings
from gateway.errors import ConfigError, ConfigProblem

SEARCHED: Final = (Path("gateway.yaml"), Path("/etc/gateway/gateway.yaml"))
_MAX_BYTES: Final = 16 * 1024 * 1024
# Paths in the file are relative to the file, so that it means the same from every working directory.
_PATHS: Final[tuple[KeyPath, ...]] = (("data_dir",), ("secret_key_file",), ("database", "url_file"))
_SECRET_FILES: Final[Mapping[KeyPath, KeyPath]] = {("database", "url_file"): ("database", "url")}


@dataclass(frozen=True, slots=True)
class Loaded:
    """Settings, the file they came from (None: defaults only) and where each given key was given."""

    settings: Settings
    path: Path | None
    origins: Mapping[str, str]


def find_config(path: Path | None, environ: Mapping[str, str]) -> Path | None:
    """Return the file to read: ``-c``, ``$GATEWAY_CONFIG``, then the searched places. None: there is none."""
    if path is not None:
        return path
    if named := environ.get("GATEWAY_CONFIG"):
        return Path(named)
    return next((place for place in SEARCHED if place.is_file()), None)


def load_settings(path: Path | None = None, environ: Mapping[str, str] | None = None) -> Loaded:
    """Read the configuration. Raises ConfigError that carries every problem, in file order."""
    environ = os.environ if environ is None else environ
    found = find_config(path, environ)
    document = _read(found) if found else Document("defaults")
    return settings_of(document, found, environ)


def settings_of(document: Document, path: Path | None, environ: Mapping[str, str]) -> Loaded:
    """Turn a read document into settings. Raises ConfigError."""
    variables = override(document, environ)
    base = path.parent.absolute() if path else Path.cwd()
    values = _anchored(document.values, base)
    secrets = _read_secrets(document, values, variables)
    settings = _validated(values, document)
    if settings is None or document.problems:
        raise ConfigError(_in_order(document, variables))
    if secrets:
        database = settings.database.model_copy(update={"url": secrets[("database", "url")], "url_file": None})
        settings = settings.model_copy(update={"database": database})
    return Loaded(settings, path, _origins(document, variables))


def _validated(values: dict[str, Any], document: Document) -> Settings | None:
    try:
        settings = Settings.model_validate(values)
    except ValidationError as error:
        document.problems.extend(problems_of(error, document))
        return None
    document.problems.extend(document.problem(key, message) for key, message in crosscheck(settings))
    return settings


def _read(path: Path) -> Document:
    try:
        with path.open("rb") as file:
            content = file.read(_MAX_BYTES + 1)
        if len(content) > _MAX_BYTES:
            raise ConfigError([ConfigProblem("is larger than 16 MiB", file=str(path))])
        return read_document(content.decode(), str(path))
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise ConfigError([ConfigProblem(f"cannot be read: {reason}", file=str(path))]) from error
    except UnicodeDecodeError as error:
        raise ConfigError([ConfigProblem(f"is not UTF-8 (byte {error.start})", file=str(path))]) from error


def _at(values: Any, path: KeyPath) -> Any:
    for part in path:
        if not isinstance(values, dict):
            return None
        values = values.get(part)
    return values


def _anchored(values: dict[str, Any], base: Path) -> dict[str, Any]:
    """Return ``values`` with relative paths made absolute; the document keeps what was written."""
    anchored = dict(values)
    anchored.setdefault("data_dir", "./var")
    for path in _PATHS:
        written = _at(anchored, path)
        if not isinstance(written, str):
            continue
        if len(path) > 1:
            anchored[str(path[0])] = dict(anchored[str(path[0])])
        holder = anchored if len(path) == 1 else anchored[str(path[0])]
        holder[str(path[-1])] = str((base / written).resolve())
    return anchored


def _read_secrets(
    document: Document,
    values: dict[str, Any],
    variables: Mapping[KeyPath, str],
) -> dict[KeyPath, SecretStr]:
    secrets: dict[KeyPath, SecretStr] = {}
    for file_key, key in _SECRET_FILES.items():
        name = _at(values, file_key)
        if not isinstance(name, str):
            continue
        try:
            secrets[key] = SecretStr(Path(name).read_text().strip())
        except (OSError, UnicodeDecodeError) as error:
            reason = getattr(error, "strerror", None) or "it is not text"
            origin = f" (from {variables[file_key]})" if file_key in variables else ""
            document.problems.append(document.problem(file_key, f"cannot read {name}{origin}: {reason}"))
        else:
            if not secrets[key].get_secret_value():
                document.problems.append(document.problem(file_key, f"{name} is empty"))
    return secrets


def _in_order(document: Document, variables: Mapping[KeyPath, str]) -> list[ConfigProblem]:
    """Sort problems as the file reads; one that a variable caused names the variable instead of a line."""
    by_key = {key_text(path): variable for path, variable in variables.items()}
    problems = [
        ConfigProblem(each.message, each.key, f"environment {by_key[each.key]}") if each.key in by_key else each
        for each in document.problems
    ]
    return sorted(dict.fromkeys(problems), key=lambda each: (each.line, each.column, each.key))


def _origins(document: Document, variables: Mapping[KeyPath, str]) -> dict[str, str]:
    origins = {key_text(path): f"{document.file}:{place.line}" for path, place in document.places.items() if path}
    return origins | {key_text(path): f"${variable}" for path, variable in variables.items()}
