"""The committed schema, the annotated sample, the starter and the reference say what the code says."""

from __future__ import annotations

import json
import re
from datetime import timedelta
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from pydantic.fields import FieldInfo

from gateway.config.keys import every_key, is_section
from gateway.config.load import load_settings
from gateway.config.scalars import format_duration, format_size
from gateway.config.schema import json_schema, schema_text
from gateway.config.settings import Settings
from gateway.config.starter import STARTER
from gateway.config.unsupported import UNSUPPORTED
from gateway.config.yaml_reader import read_document

ROOT = Path(__file__).resolve().parents[2]
SAMPLE = ROOT / "config" / "gateway.yaml"
KEYS = list(every_key())


def accepts(values: Any) -> bool:
    return bool(jsonschema.Draft202012Validator(json_schema()).is_valid(values))


def test_committed_schema_is_the_code_s() -> None:
    committed = (ROOT / "config" / "gateway.schema.json").read_text(encoding="utf-8")
    assert committed == schema_text(), "run: gateway config schema > config/gateway.schema.json"
    jsonschema.Draft202012Validator.check_schema(json.loads(committed))


@pytest.mark.parametrize("text", [SAMPLE.read_text(encoding="utf-8"), STARTER], ids=["sample", "starter"])
def test_sample_and_starter_are_valid(tmp_path: Path, text: str) -> None:
    path = tmp_path / "gateway.yaml"
    path.write_text(text, encoding="utf-8")
    loaded = load_settings(path, {}, rules=True)
    assert loaded.warnings == ()
    assert loaded.settings.routes
    assert accepts(read_document(text, "f").values)


def test_sample_without_its_examples_is_the_defaults(tmp_path: Path) -> None:
    loaded = load_settings(SAMPLE, {}).settings
    defaults = Settings(data_dir=loaded.data_dir)
    assert loaded.model_copy(update={"routes": (), "upstreams": {}}) == defaults


@pytest.mark.parametrize("key", [key for key, _ in KEYS])
def test_sample_shows_every_key(key: str) -> None:
    text = SAMPLE.read_text(encoding="utf-8")
    assert re.search(rf"(^|[\s{{]|# ){re.escape(key.rpartition('.')[2])}:", text, re.MULTILINE), key


@pytest.mark.parametrize(
    ("values", "accepted"),
    [
        ({}, True),
        ({"version": 2}, False),
        ({"servers": {}}, False),
        ({"server": {"listen": "127.0.0.1:80", "internal_listen": None}}, True),
        ({"server": {"listen": ["127.0.0.1:80"], "limits": {"body_bytes": 5, "header_bytes": "5KiB"}}}, True),
        ({"server": {"limits": {"body_bytes": "5 apples"}}}, False),
        ({"sessions": {"lifetime": "1h30m"}}, True),
        ({"sessions": {"lifetime": 90}}, False),
        ({"upstreams": {"a": {}}}, False),
        ({"routes": [{"match": {"host": "a"}, "require": {"any": [{"roles": "a"}, {"not": {"users": ["b"]}}]}}]}, True),
        ({"routes": [{"require": {"rols": "a"}}]}, False),
        ({"routes": [{"identity": {"headers": {"X-A": "a", "X-B": {"file": "b"}}}}]}, True),
        ({"routes": [{"identity": {"headers": {"X-A": {"path": "b"}}}}]}, False),
        ({"routes": [{"credentials": "bearer", "request_headers": {"pass": "X-A"}}]}, True),
        ({"routes": [{"credentials": ["basic"]}]}, True),
        ({"providers": {}}, True),
        ({"providers": {"corp": {"issuer": "https://id.example.com", "client_id": "a"}}}, True),
        ({"providers": {"corp": {"type": "myspace", "client_id": "a"}}}, False),
        ({"tests": []}, False),
    ],
)
def test_schema_accepts_what_the_loader_accepts_in_form(values: Any, accepted: bool) -> None:
    assert accepts(values) is accepted


def test_every_key_is_described() -> None:
    assert [key for key, field in KEYS if not field.description] == []


def test_no_supported_key_is_called_unsupported() -> None:
    supported = {key.replace("[]", ".*") for key, _ in KEYS}
    assert supported & UNSUPPORTED == set()


def _default(key: str, field: FieldInfo) -> str:
    value = field.get_default(call_default_factory=True)
    if field.is_required():
        return "required"
    if value in (None, (), {}, ""):
        return "—"
    if isinstance(value, timedelta):
        return f"`{format_duration(value)}`"
    if isinstance(value, tuple):
        return f"`{value[0]}`" if key == "server.listen" else f"`[{', '.join(value)}]`"
    if isinstance(value, int) and key.endswith("_bytes"):
        return f"`{format_size(value)}`"
    return f"`{str(value).lower() if isinstance(value, bool) else value}`"


VALUES = [(key, field) for key, field in KEYS if not is_section(type(field.get_default(call_default_factory=True)))]


@pytest.mark.parametrize(("key", "field"), VALUES, ids=[key for key, _ in VALUES])
def test_reference_has_every_key_with_its_default(key: str, field: FieldInfo) -> None:
    text = (ROOT / "docs" / "configuration.md").read_text(encoding="utf-8")
    assert f"\n| `{key}` | {_default(key, field)} | " in text


def test_reference_has_no_other_key() -> None:
    text = (ROOT / "docs" / "configuration.md").read_text(encoding="utf-8")
    written = set(re.findall(r"^\| `([a-z_.*\[\]]+)` \|", text.partition("## Reference")[2], re.MULTILINE))
    assert written == {key for key, _ in VALUES}
