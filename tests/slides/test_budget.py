import math

import pytest

from histofactor.errors import ImageError, OptionError
from histofactor.slides.budget import check_budget, check_limit


def test_a_budget_counts_every_copy():
    check_budget((1000, 1000), 4, 0.004, "a.png")
    with pytest.raises(ImageError, match=r"a\.png is too large.*0\.004 GB .*--max-image-gb.*1000 × 1001 px, 0\.004"):
        check_budget((1000, 1001), 4, 0.004, "a.png")


@pytest.mark.parametrize("limit", [0, -1, math.nan, math.inf])
def test_other_budgets_are_refused(limit):
    with pytest.raises(OptionError, match="max_image_gb"):
        check_limit(limit)
