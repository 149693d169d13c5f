"""The helper that tests wait with."""

from itertools import count

import pytest

from tests.support import block_until, wait_until


async def test_the_first_truthy_value_is_returned() -> None:
    """Plain and coroutine predicates serve alike."""
    numbers = count()

    async def later() -> int:
        return next(numbers)

    assert await wait_until(later) == 1
    assert await wait_until(lambda: "x") == "x"
    assert block_until(lambda: next(numbers)) == 2


async def test_a_condition_that_never_comes_fails_and_says_what_was_seen() -> None:
    """The message names the condition and its last value."""
    with pytest.raises(AssertionError, match=r"a queue drains \(last seen: \[\]\)"):
        await wait_until(list, 0.02, message="a queue drains")
