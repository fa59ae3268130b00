"""The master key: read from where the configuration says, or made once in ``data_dir``."""

from __future__ import annotations

import base64
import os
import secrets
from pathlib import Path
from typing import Final

from gateway.config.settings import Settings
from gateway.errors import ConfigError, ConfigProblem, StartupError

KEY_BYTES: Final = 32
_FILE_MODE: Final = 0o600


def secret_key(settings: Settings) -> bytes:
    """Return the master key, at least 32 bytes. Makes ``data_dir/secret_key`` (0600) when none is configured.

    Raises ConfigError for a key that is too short or a file that cannot be read, StartupError when none
    can be made.
    """
    if settings.secret_key is not None:
        return _decoded(settings.secret_key.get_secret_value(), "secret_key")
    if settings.secret_key_file is not None:
        return _decoded(_read(settings.secret_key_file), "secret_key_file")
    path = settings.data_dir / "secret_key"
    try:
        _make(path)
    except OSError as error:
        raise StartupError(f"cannot make a secret key in {path}: {error.strerror}; set data_dir") from error
    return _decoded(_read(path), "secret_key_file")


def _make(path: Path) -> None:
    """Write a new key unless there is one; a reader never sees half of it."""
    if path.exists():
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    fresh = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, _FILE_MODE)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(base64.b64encode(secrets.token_bytes(KEY_BYTES)) + b"\n")
            file.flush()
            os.fsync(file.fileno())
        try:
            os.link(fresh, path)  # fails when another process was first: its key holds
        except FileExistsError:
            return
    finally:
        fresh.unlink()


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="ascii").strip()
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is not text"
        raise ConfigError([ConfigProblem(f"cannot read {path}: {reason}", "secret_key_file")]) from error


def _decoded(text: str, key: str) -> bytes:
    try:
        value = base64.b64decode(text, validate=True)
    except ValueError as error:
        raise ConfigError([ConfigProblem(_ADVICE, key)]) from error
    if len(value) < KEY_BYTES:
        raise ConfigError([ConfigProblem(_ADVICE, key)])
    return value


_ADVICE: Final = "must be at least 32 random bytes in base64; make one with: openssl rand -base64 32"
