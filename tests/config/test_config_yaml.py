"""YAML is read as version 1.2 says, with its places, and no file is too deep, too wide or too odd."""

from __future__ import annotations

import contextlib
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.config import yaml_reader
from gateway.config.document import Place
from gateway.config.yaml_reader import plain_value, read_document
from gateway.errors import ConfigError


def values(text: str) -> object:
    document = read_document(text, "f")
    assert document.problems == []
    return document.values


def refusal(text: str) -> str:
    with pytest.raises(ConfigError) as caught:
        read_document(text, "f")
    return str(caught.value.problems[-1])


@pytest.mark.parametrize(
    ("text", "value"),
    [
        *[(text, text) for text in ("no", "No", "off", "on", "yes", "y", "08:00", "1:30", "1_000", "2026-01-01")],
        *[(text, None) for text in ("", "~", "null", "NULL")],
        ("true", True),
        ("FALSE", False),
        ("12", 12),
        ("-012", -12),
        ("0o17", 15),
        ("0x1F", 31),
        ("1.5", 1.5),
        ("1e3", 1000.0),
        ("1e", "1e"),
        ("0b1", "0b1"),
        ("1.2.3", "1.2.3"),
        ("9" * 5000, "9" * 5000),
    ],
)
def test_plain_scalar_is_read_by_the_core_schema(text: str, value: object) -> None:
    read = plain_value(text)
    assert (type(read), read) == (type(value), value)


def test_quoted_block_and_str_scalars_are_text() -> None:
    assert values("a: 'true'\nb: \"1\"\nc: !!str 1\nd: |\n  1\ne: ! 1\n") == {
        "a": "true", "b": "1", "c": "1", "d": "1\n", "e": "1",
    }  # fmt: skip


def test_key_is_text_whatever_it_looks_like() -> None:
    assert values("1: a\ntrue: b\n~: c\n'': d\n") == {"1": "a", "true": "b", "~": "c", "": "d"}


def test_empty_file_holds_nothing() -> None:
    for text in ("", "\n", "# only a comment\n", "---\n", "\ufeff", "---\n...\n"):
        assert values(text) == {}


def test_byte_order_mark_and_line_ends_make_no_difference() -> None:
    document = read_document("\ufeffa: 1\r\nb: 2\r\n", "f")
    assert document.values == {"a": 1, "b": 2}
    assert document.places[("b",)] == Place(2, 1)


def test_place_is_the_key_s_or_the_item_s_own() -> None:
    places = read_document("a:\n  b: [x,\n    y]\n  é: {c: d}\n", "f").places
    assert places == {
        (): Place(1, 1),
        ("a",): Place(1, 1),
        ("a", "b"): Place(2, 3),
        ("a", "b", 0): Place(2, 7),
        ("a", "b", 1): Place(3, 5),
        ("a", "é"): Place(4, 3),
        ("a", "é", "c"): Place(4, 7),
    }


def test_alias_stands_for_its_anchor_and_is_placed_where_it_stands() -> None:
    document = read_document("a: &x {b: [1, &y 2]}\nc: *x\nd: *y\n&k e: *k\n", "f")
    assert document.values == {"a": {"b": [1, 2]}, "c": {"b": [1, 2]}, "d": 2, "e": "e"}
    assert document.place(("c", "b", 0)) == Place(2, 1)


def test_refused_key_passes_over_all_that_it_holds() -> None:
    document = read_document("a: 1\na: {b: {c: [d, {e: f}]}}\n? {g: h}\n: [{i: j}]\nk: 2\n", "f")
    assert document.values == {"a": 1, "k": 2}
    assert [problem.line for problem in document.problems] == [2, 3]


@pytest.mark.parametrize("opening", ["[", "{a: ", "- ", "? ", "[? ", "{? {", "!!seq [", "&a ["])
@pytest.mark.parametrize("depth", [100, 100_000])
def test_deep_nesting_is_refused_and_never_overflows_the_stack(opening: str, depth: int) -> None:
    assert "nested more than 60 levels deep" in refusal(opening * depth)


def test_nesting_by_aliases_counts_as_what_it_unfolds_to() -> None:
    lines = ["a0: &a0 [x]"] + [f"a{n}: &a{n} [*a{n - 1}]" for n in range(1, 100)]
    assert refusal("\n".join(lines)) == "f:60:12: is nested more than 60 levels deep"


@pytest.mark.parametrize("leaf", ["x", "[]", "{}", "{a: b}"])
@pytest.mark.parametrize("level", ["[{}]", "[[{}]]", "[{{a: [{}]}}]"])
def test_billion_laughs_are_refused_at_once(leaf: str, level: str) -> None:
    lines = [f"a0: &a0 {leaf}"]
    lines += [f"a{n}: &a{n} " + level.format(", ".join([f"*a{n - 1}"] * 10)) for n in range(1, 15)]
    started = time.process_time()
    assert "aliases stand for too many values" in refusal("\n".join(lines))
    assert time.process_time() - started < 1


def test_many_small_aliases_are_refused() -> None:
    assert "aliases stand for too many values" in refusal("a: &a [x]\nb: [" + "*a, " * 60_000 + "]\n")


def test_flood_of_values_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(yaml_reader, "_MAX_VALUES", 1000)
    assert values("a: [" + "x," * 998 + "]") == {"a": ["x"] * 998}
    assert refusal("a: [" + "x," * 999 + "]") == "f:1:2001: the file holds more than 1000 values"


YAMLISH = st.text(st.sampled_from("ab:-?[]{},&*!|>'\"%@`#~ \n\t\r01.<\\\0\x85\ufeff\u2028é\U0001f600"), max_size=60)


@given(
    st.one_of(st.text(max_size=200), YAMLISH, st.binary(max_size=200).map(lambda raw: raw.decode("utf-8", "replace")))
)
def test_any_text_is_read_or_refused(text: str) -> None:
    with contextlib.suppress(ConfigError):
        assert isinstance(read_document(text, "f").values, dict)


LEAVES = st.none() | st.booleans() | st.integers(0, 99) | st.sampled_from(["x", "no"])
TREES = st.recursive(
    LEAVES,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from("abcd"), inner, max_size=4),
    max_leaves=20,
)


@given(TREES)
def test_what_is_written_is_read_back(value: object) -> None:
    document = read_document(f"root: {_flow(value)}\n", "f")
    assert document.problems == []
    assert document.values == {"root": value}


def _flow(value: object) -> str:
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key}: {_flow(inner)}" for key, inner in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(_flow(inner) for inner in value) + "]"
    return "~" if value is None else str(value).lower()
