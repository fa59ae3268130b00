"""The log: JSON lines for machines, readable lines on a terminal. Libraries' records pass the same way."""

from __future__ import annotations

import logging
import sys
from collections.abc import MutableMapping
from typing import Any, Final

import structlog

# Fields of these names never reach a log, whoever adds them.
_SECRET_WORDS: Final = ("password", "secret", "token", "authorization", "cookie", "api_key", "apikey", "credential")
# These print live tokens, statements or request bodies at DEBUG.
_QUIET: Final = ("authlib", "asyncpg", "aiohttp.access", "asyncio")


def redact(_logger: Any, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Mask values under names that speak of secrets."""
    for name in event:
        if name != "event" and any(word in name.lower() for word in _SECRET_WORDS):
            event[name] = "***"
    return event


def wants_json(log_format: str) -> bool:
    """Tell whether ``auto`` means JSON here: everywhere but on a terminal."""
    return log_format == "json" or (log_format == "auto" and not sys.stderr.isatty())


def configure(log_format: str, level: str) -> None:
    """Send every record to stderr, as ``log_format`` (auto, json, console) says, from ``level`` up."""
    shared: list[structlog.typing.Processor] = [
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.stdlib.ExtraAdder(),
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        redact,
        structlog.processors.format_exc_info,
    ]
    renderer: structlog.typing.Processor = (
        structlog.processors.JSONRenderer() if wants_json(log_format) else structlog.dev.ConsoleRenderer(colors=False)
    )
    formatter = structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=shared,
        processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, renderer],
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(formatter)
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level.upper())
    for name in _QUIET:
        logging.getLogger(name).setLevel(logging.WARNING)
