"""``database.url`` as arguments of `asyncpg.connect`, and the words to speak of it without its password."""

from __future__ import annotations

from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

from gateway.errors import StartupError

APPLICATION_NAME = "auth-gateway"


def url_args(url: str) -> dict[str, Any]:
    """Return arguments for `asyncpg.connect`.

    asyncpg reads the URL as libpq does (``sslmode``, ``target_session_attrs``, several hosts). Two parameters
    are taken out for its keyword arguments: ``statement_cache_size`` (0 behind PgBouncer in transaction mode)
    and libpq's ``connect_timeout``, in seconds. Raises `StartupError` for a URL that cannot be used.
    """
    try:
        parts = urlsplit(url)
        query = dict(parse_qsl(parts.query, keep_blank_values=True, strict_parsing=bool(parts.query)))
    except ValueError:
        raise StartupError("database.url is not a URL: postgresql://user:password@host:5432/name") from None
    if parts.scheme not in {"postgresql", "postgres"}:
        raise StartupError("database.url must start with postgresql://")
    args: dict[str, Any] = {}
    for parameter, keyword in (
        ("statement_cache_size", "statement_cache_size"),
        ("connect_timeout", "timeout"),
    ):
        if parameter in query:
            args[keyword] = _number(parameter, query.pop(parameter))
    query.setdefault("application_name", APPLICATION_NAME)
    return {"dsn": urlunsplit(parts._replace(query=urlencode(query))), **args}


def described(dsn_args: dict[str, Any]) -> str:
    """Return where a database is, for people: never user, password or parameters."""
    if "dsn" not in dsn_args:
        return f"in {dsn_args.get('host')}"
    parts = urlsplit(dsn_args["dsn"])
    host = parts.netloc.rpartition("@")[2] or dict(parse_qsl(parts.query)).get("host")
    return f"at {host or 'its default address'}"


def _number(parameter: str, text: str) -> int:
    if not text.isascii() or not text.isdigit():
        raise StartupError(f"database.url: {parameter} must be a whole number")
    return int(text)
