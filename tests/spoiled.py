"""Files spoiled by a generator of random numbers."""


def mutated(content, rng, *, head, longest, letters=bytes(range(256))):
    """A few bytes changed, a stretch taken out, or a stretch put in twice; more often near the beginning.

    Args:
        content: bytes of a file.
        rng: NumPy generator; decides all.
        head: bytes at the beginning that every second change is in.
        longest: length of a stretch, less than this.
        letters: bytes that others are replaced with.
    """
    content = bytearray(content)
    for _ in range(rng.integers(1, 4)):
        span = len(content) if rng.random() < 0.5 else min(len(content), head)
        place, length = int(rng.integers(span)), int(rng.integers(1, longest))
        kind = rng.integers(4)
        if kind == 0:
            content[place] = rng.choice(list(letters))
        elif kind == 1:
            content[place] ^= 1 << rng.integers(8)
        elif kind == 2:
            del content[place : place + length]
        else:
            content[place:place] = content[place : place + length]
    return bytes(content)
