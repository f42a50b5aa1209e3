"""The records of the scoreboard."""

from __future__ import annotations

from testbed.packet.segment import ACK
from testbed.stack.tcp.scoreboard import Scoreboard
from testbed.stack.tcp.sent import NO_PROGRESS, Sent


def test_losses_that_were_none_leave_nothing_behind() -> None:
    """A peer may have them taken back again and again."""
    board = Scoreboard()
    for start in range(100):
        board.add(Sent(start, start + 1, b"x", None, ACK, 0, NO_PROGRESS, 1))
    for _ in range(5):
        board.mark_all_lost()
        assert board.next_lost() is board.records[0]
        assert len(board._lost_starts) == 100
        board.mark_all_in_flight()
        assert (board.lost, board.in_flight) == (0, 100)
