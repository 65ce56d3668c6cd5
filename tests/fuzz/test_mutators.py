"""Mutators: spoiled the same by the same numbers, in some way every time, and never very large."""

import json
from random import Random

import pytest

from fuzz.mutators import MUTATORS, change_json, mutate

CONTENTS = {
    "empty": b"",
    "byte": b"a",
    "noise": Random(0).randbytes(3000),
    "json": json.dumps({"a": [1, 2, {"b": None}], "c": "text"}).encode(),
    "safetensors": (14).to_bytes(8, "little") + b'{"a": {"b":1}}' + bytes(12),
}


@pytest.mark.parametrize("mutator", dict.fromkeys(MUTATORS), ids=lambda mutator: mutator.__name__)
@pytest.mark.parametrize("content", CONTENTS.values(), ids=CONTENTS)
def test_the_same_numbers_spoil_it_the_same(mutator, content):
    for seed in range(30):
        first, second = (mutator(content, Random(seed), [b"another file"]) for _ in range(2))
        assert first == second
        assert len(first) <= len(content) + 2**19


@pytest.mark.parametrize("content", CONTENTS.values(), ids=CONTENTS)
def test_mutants_differ_from_what_they_were_and_from_each_other(content):
    mutants = [mutate(content, Random(seed), [content[::-1]]) for seed in range(200)]
    assert content not in mutants
    assert len({*mutants}) > (190 if len(content) > 1000 else 50)


def test_json_stays_json_and_headers_keep_their_length():
    for seed in range(50):
        json.loads(change_json(CONTENTS["json"], Random(seed), []))
        changed = change_json(CONTENTS["safetensors"], Random(seed), [])
        length = int.from_bytes(changed[:8], "little")
        json.loads(changed[8 : 8 + length])
        assert changed[8 + length :] == bytes(12)
