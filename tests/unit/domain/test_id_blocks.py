"""Numbers of a node: from its blocks in the order in which it got them, and spare ones where none are left."""

import pytest

from wattspan.domain.id_blocks import IdBlock
from wattspan.errors import StoreUnavailable


def test_numbers_come_from_one_block_after_the_other():
    block = IdBlock()
    block.add(10, 2)
    block.add(50, 2)
    assert [block.take() for _ in range(4)] == [10, 11, 50, 51]


def test_spare_numbers_are_used_only_while_there_are_no_others():
    block = IdBlock()
    block.add(1000, 3, spare=True)
    block.add(10, 1)
    assert [block.take() for _ in range(2)] == [10, 1000]
    block.add(20, 1)
    assert [block.take() for _ in range(3)] == [20, 1001, 1002]
    assert not block.has_spare
    with pytest.raises(StoreUnavailable):
        block.take()


def test_more_are_asked_for_when_few_are_left():
    asked = []
    block = IdBlock(low=1, on_low=lambda: asked.append(block.left))
    block.add(1, 3)
    for _ in range(3):
        block.take()
    assert asked == [1, 0]
