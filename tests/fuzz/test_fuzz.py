"""A minute of what ``make fuzz`` does for half an hour: crafted and spoiled inputs for every reader."""

from fuzz.harness import Limits, fuzz, table
from fuzz.targets import TARGETS

CASES = 40
"""Of every reader: all that are crafted, and mutants."""


def test_all_crafted_inputs_are_among_the_cases():
    assert len({target.name for target in TARGETS}) == len(TARGETS)
    assert all(len(target.crafted) < CASES // target.slow for target in TARGETS)


def test_every_input_is_read_or_refused_in_time_and_without_much_memory(tmp_path):
    tallies = fuzz("fuzz.targets", TARGETS, tmp_path, Limits(seed=20, cases=CASES, jobs=1))
    failures = [(tally.target, *failure) for tally in tallies for failure in tally.failures]
    assert not failures, "\n".join(f"--target {name} --seed 20 --case {n}: {one.told}" for name, n, one in failures)
    assert all(tally.kinds["read"] + tally.kinds["refused"] == sum(tally.kinds.values()) > 0 for tally in tallies)
    read, refused = (sum(tally.kinds[kind] for tally in tallies) for kind in ("read", "refused"))
    assert refused > read, table(tallies)
