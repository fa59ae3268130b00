"""The configuration's JSON Schema, for editors: derived from the settings, never written by hand."""

from __future__ import annotations

from typing import Any

from gateway.config.settings import Settings


def json_schema() -> dict[str, Any]:
    """Return a JSON Schema (2020-12) that accepts what ``load_settings`` accepts in form."""
    schema = Settings.model_json_schema(by_alias=True, mode="validation")
    schema["$schema"] = "https://json-schema.org/draft/2020-12/schema"
    schema["title"] = "Gateway configuration"
    loosened: dict[str, Any] = _one_or_many(schema)
    return loosened


def _one_or_many(node: Any) -> Any:
    """Say what pydantic does not know: that a single value stands for a list of one."""
    if isinstance(node, list):
        return [_one_or_many(item) for item in node]
    if not isinstance(node, dict):
        return node
    node = {key: _one_or_many(value) for key, value in node.items() if key != "default" or value is not None}
    items = node.get("items")
    if node.get("type") == "array" and isinstance(items, dict) and items.get("type") == "string":
        kept = {key: node.pop(key) for key in ("default", "title") if key in node}
        return {"anyOf": [items, node], **kept}
    return node
