"""The configuration's JSON Schema, for editors: derived from the settings, never written by hand."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

from pydantic.json_schema import GenerateJsonSchema

from gateway.config.scalars import SIZE_PATTERN, format_duration, format_size
from gateway.config.settings import Settings


class _Generator(GenerateJsonSchema):
    """Writes defaults as the file would."""

    def encode_default(self, dft: Any) -> Any:
        return format_duration(dft) if isinstance(dft, timedelta) else super().encode_default(dft)


def json_schema() -> dict[str, Any]:
    """Return a JSON Schema (2020-12) that accepts what ``load_settings`` accepts in form."""
    schema = Settings.model_json_schema(by_alias=True, schema_generator=_Generator)
    loosened: dict[str, Any] = _one_or_many(schema)
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        **loosened,
        "title": "Gateway configuration",
    }


def schema_text() -> str:
    """Return the schema as ``config/gateway.schema.json`` holds it."""
    return json.dumps(json_schema(), indent=2, ensure_ascii=False) + "\n"


def _one_or_many(node: Any) -> Any:
    """Say what pydantic does not know: that a single value stands for a list of one."""
    if isinstance(node, list):
        return [_one_or_many(item) for item in node]
    if not isinstance(node, dict):
        return node
    kept = {
        key: _one_or_many(value)
        for key, value in node.items()
        # Titles are made up from names; a section's default is its keys', and null is none.
        if not (key == "title" and isinstance(value, str))
        and not (key == "default" and (value is None or isinstance(value, dict)))
    }
    if isinstance(kept.get("default"), int) and {"type": "string", "pattern": SIZE_PATTERN} in kept.get("anyOf", ()):
        kept["default"] = format_size(kept["default"])
    items = kept.get("items")
    if kept.get("type") == "array" and isinstance(items, dict) and items.get("type") == "string":
        said = {key: kept.pop(key) for key in ("default", "description") if key in kept}
        return {"anyOf": [items, kept], **said}
    return kept
