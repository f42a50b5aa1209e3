"""The JSON Schema of what a file says of one direction of a wire."""

from __future__ import annotations

from typing import Any, Final

from testbed.wire.options import OPTIONS
from testbed.wire.queues import grammar as queues
from testbed.wire.queues.kinds import KINDS

_SUMMARIES: Final = {
    "limit": "the most that may wait: packets, octets (64kb), time (100ms) or 1.5bdp",
    "delay": "TIME [JITTER [CORRELATION]] [distribution uniform|normal|pareto|paretonormal]",
    "rate": "RATE [PACKETOVERHEAD [CELLSIZE [CELLOVERHEAD]]] [burst SIZE]",
    "loss": (
        "[random] PERCENT [CORRELATION], gemodel P [R [1-H [1-K]]],"
        " or state P13 [P31 [P32 [P23 [P14]]]]; with ecn, packets are marked"
    ),
    "reorder": "PERCENT [CORRELATION] [gap N]: packets that overtake the delayed ones",
    "duplicate": "PERCENT [CORRELATION]: packets that arrive twice",
    "corrupt": "PERCENT [CORRELATION]: packets in which one bit is inverted",
    "slot": "MIN [MAX] or distribution NAME DELAY JITTER; [packets N] [bytes N]: bursts",
    "trace": "a file: a mahimahi trace, or CSV with time and any of rate, delay, loss, limit",
    "flap": "UP DOWN [seed N]: mean times of a working wire, and of one that drops all",
    "queue": "the queue in front of the rate: KIND [OPTION VALUE]...",
}
_VALUE: Final[dict[str, Any]] = {"type": ["string", "number"]}


def schema() -> dict[str, Any]:
    """Return the schema of a block of netem options: text, or a mapping."""
    properties: dict[str, Any] = {
        name: {"description": _SUMMARIES[name], **_VALUE} for name in OPTIONS if name != "queue"
    }
    properties |= {"latency": properties["delay"], "drop": properties["loss"], "queue": _queue()}
    mapping = {"type": "object", "properties": properties, "additionalProperties": False}
    text = {"type": "string", "description": "options as on tc's command line"}
    return {"anyOf": [text, mapping]}


def _queue() -> dict[str, Any]:
    kinds = [
        {
            "type": "object",
            "description": (KINDS[kind].__doc__ or "").splitlines()[0],
            "properties": {
                queues.KIND: {"const": kind},
                **{name: _option(name, text) for name, text in queues.options(kind).items()},
            },
            "required": [queues.KIND],
            "additionalProperties": False,
        }
        for kind in KINDS
    ]
    text = {"type": "string", "description": "in the syntax of tc: fq_codel target 5ms ecn"}
    return {"description": _SUMMARIES["queue"], "anyOf": [text, *kinds]}


def _option(name: str, text: str) -> dict[str, Any]:
    value = {"type": "boolean"} if queues.is_flag(name) else _VALUE
    return {"description": text, **value}
