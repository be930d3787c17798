"""A withdrawn key finds no image until a run settles it."""

from __future__ import annotations

from pathlib import Path

import pytest
from helpers import image, key_of

from stagegraph.keys.inputs import Input
from stagegraph.store.layout import LayoutStore
from stagegraph.store.withdrawn import dependents

pytestmark = pytest.mark.unit


def test_a_withdrawn_key_finds_nothing_until_it_is_settled(tmp_path: Path) -> None:
    store = LayoutStore(tmp_path)
    record = image(store)
    store.commit(record)
    store.withdrawn.add(record.key)
    store.withdrawn.add(record.key)
    assert store.find(record.key) is None and store.withdrawn.all() == [record.key]
    assert store.read(record.key) == record  # it still explains the next build
    store.commit(record)  # as a pull does, which may have begun before the rebuild
    assert store.find(record.key) is None
    store.withdrawn.discard(record.key)
    assert store.find(record.key) == record and store.withdrawn.all() == []


def test_dependents_are_all_that_use_a_key_directly_or_not() -> None:
    def uses(*parents: str) -> list[Input]:
        schema = Input("schema", "", "2")
        return [schema, *(Input("parent", str(place), key_of(p)) for place, p in enumerate(parents))]

    known = {
        "low": uses(),
        "mid": uses("low"),
        "other": uses(),
        "top": uses("other", "mid"),
        "copy": uses("mid", "top"),
        "free": [Input("image", "0", key_of("low"))],  # an external image with the same digits
    }
    pairs = [(key_of(name), inputs) for name, inputs in known.items()]
    assert dependents(key_of("low"), pairs) == {key_of(name) for name in ("mid", "top", "copy")}
    assert dependents(key_of("other"), pairs) == {key_of(name) for name in ("top", "copy")}
    assert dependents(key_of("copy"), pairs) == set()
