"""The benchmark of route matching measures what it says: each request finds the route that was made for it."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.bench.routes import SHAPES, Shape, loading, questions, table

_COUNT = 100


@pytest.mark.parametrize("shape", SHAPES, ids=lambda shape: shape.name)
def test_each_request_finds_a_route_of_its_own(shape: Shape) -> None:
    rules = table(shape, _COUNT)
    found = [rules.find(*question) for question in questions(shape, _COUNT)]
    assert None not in found
    assert len({rule.name for rule in found if rule is not None}) > len(found) / 2


def test_a_configuration_of_many_routes_loads(tmp_path: Path) -> None:
    assert set(loading(tmp_path, _COUNT)) == {"read and checked", "compiled"}
