import struct
import zlib

import pytest

from histofactor.slides.damaged import DAMAGED


@pytest.mark.parametrize(
    "error", [struct.error(), zlib.error(), IndexError(), AttributeError(), OSError(), OverflowError()]
)
def test_what_decoders_raise_counts_as_damage(error):
    assert isinstance(error, DAMAGED)


def test_what_the_user_does_is_no_damage():
    assert not issubclass(KeyboardInterrupt, DAMAGED)
    assert not issubclass(MemoryError, DAMAGED)
