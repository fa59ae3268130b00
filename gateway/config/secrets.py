"""Secrets: read from the files that the configuration names; the master key made once where none is named."""

from __future__ import annotations

import base64
import os
import secrets
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from gateway.config.settings import Settings
from gateway.errors import ConfigError, ConfigProblem, StartupError

KEY_BYTES: Final = 32
_FILE_MODE: Final = 0o600
_FILE_BYTES: Final = 64 * 1024
_ADVICE: Final = f"must be at least {KEY_BYTES} random bytes in base64; make one with: openssl rand -base64 {KEY_BYTES}"


def secret_key(settings: Settings) -> bytes:
    """Return the master key, at least 32 bytes. Makes ``data_dir/secret_key`` (0600) when none is configured.

    Raises ConfigError for a key that is too short or a file that cannot be read, StartupError when none
    can be made.
    """
    if settings.secret_key is not None:
        return _told("secret_key", settings.secret_key.get_secret_value())
    if settings.secret_key_file is not None:
        return _told("secret_key_file", settings.secret_key_file)
    path = settings.data_dir / "secret_key"
    try:
        _make(path)
    except OSError as error:
        raise StartupError(f"cannot make a secret key in {path}: {error.strerror}; set data_dir") from error
    return _told("data_dir", path)


def read_secret(path: Path) -> str:
    """Return a secret file's text without white space around it. Raises ValueError that says what is wrong."""
    try:
        with path.open("rb") as file:
            content = file.read(_FILE_BYTES + 1)
    except OSError as error:
        raise ValueError(f"cannot read {path}: {error.strerror}") from error
    if len(content) > _FILE_BYTES:
        raise ValueError(f"{path} is too long for a secret")
    try:
        text = content.decode().strip()
    except UnicodeDecodeError as error:
        raise ValueError(f"{path} does not hold text") from error
    if not text:
        raise ValueError(f"{path} is empty")
    return text


def check_database_url(text: str) -> None:
    """Raise ValueError when ``text`` cannot be PostgreSQL's URL. It is never repeated: it holds a password."""
    try:
        scheme = urlsplit(text).scheme
    except ValueError:
        raise ValueError("is not a URL: postgresql://user:password@host:5432/name") from None
    if scheme not in {"postgresql", "postgres"}:
        raise ValueError("must start with postgresql://")


def decode_key(text: str) -> bytes:
    """Return the master key that ``text`` spells in base64. Raises ValueError, which never repeats it."""
    try:
        key = base64.b64decode("".join(text.split()), validate=True)
    except ValueError:
        raise ValueError(_ADVICE) from None  # the cause would show a part of the key
    if len(key) < KEY_BYTES:
        raise ValueError(_ADVICE)
    return key


def _told(key: str, given: str | Path) -> bytes:
    try:
        return decode_key(read_secret(given) if isinstance(given, Path) else given)
    except ValueError as error:
        place = f"{given}: " if key == "data_dir" else ""
        raise ConfigError([ConfigProblem(f"{place}{error}", key)]) from None


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
            path.hardlink_to(fresh)  # fails when another process was first: its key holds
        except FileExistsError:
            return
    finally:
        fresh.unlink()
