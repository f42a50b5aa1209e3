"""Python assertions on TCP_INFO: ``%{ assert tcpi_snd_cwnd == 10, tcpi_snd_cwnd }%``.

Only assertions with comparisons and arithmetic are supported. No code of a script is run.
"""

from __future__ import annotations

import ast
import operator
from collections.abc import Callable, Mapping
from typing import Any, Final

from testbed.interchange.packetdrill.model import UnsupportedError

_OPERATIONS: Final[dict[type[ast.AST], Callable[[Any, Any], Any]]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.FloorDiv: operator.floordiv,
    ast.Mod: operator.mod,
    ast.BitAnd: operator.and_,
    ast.BitOr: operator.or_,
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
}
# include/uapi/linux/tcp.h and include/net/tcp_states.h
_CONSTANTS: Final = {
    "TCPI_OPT_TIMESTAMPS": 1,
    "TCPI_OPT_SACK": 2,
    "TCPI_OPT_WSCALE": 4,
    "TCPI_OPT_ECN": 8,
    "TCPI_OPT_SYN_DATA": 32,
    "TCP_CA_Open": 0,
    "TCP_CA_Disorder": 1,
    "TCP_CA_CWR": 2,
    "TCP_CA_Recovery": 3,
    "TCP_CA_Loss": 4,
    "TCP_ESTABLISHED": 1,
    "TCP_SYN_SENT": 2,
    "TCP_SYN_RECV": 3,
    "TCP_FIN_WAIT1": 4,
    "TCP_FIN_WAIT2": 5,
    "TCP_TIME_WAIT": 6,
    "TCP_CLOSE": 7,
    "TCP_CLOSE_WAIT": 8,
    "TCP_LAST_ACK": 9,
    "TCP_LISTEN": 10,
    "TCP_CLOSING": 11,
}


def first_wrong(text: str, info: Mapping[str, object], line: int) -> str | None:
    """Return the first failed assertion with its values, or ``None`` if all hold.

    :param info: the fields of TCP_INFO by name, without ``tcpi_``.
    :raises UnsupportedError: it needs a missing field, or more than comparisons.
    """
    lines = text.replace("\\\n", "\n").splitlines()
    source = "\n".join(line.strip().rstrip(";") for line in lines)
    try:
        statements = ast.parse(source).body
    except SyntaxError as error:
        raise UnsupportedError(f"invalid Python: {error.msg}", line) from error
    for statement in statements:
        if not isinstance(statement, ast.Assert):
            raise UnsupportedError("Python other than assertions", line)
        if not _value(statement.test, info, line):
            return f"{ast.unparse(statement.test)}, but {_seen(statement.test, info)}"
    return None


def _seen(node: ast.expr, info: Mapping[str, object]) -> str:
    names = {one.id for one in ast.walk(node) if isinstance(one, ast.Name)}
    fields = sorted(name for name in names if name.startswith("tcpi_"))
    return ", ".join(f"{name} = {info.get(name.removeprefix('tcpi_'))}" for name in fields)


def _value(node: ast.expr, info: Mapping[str, object], line: int) -> Any:
    match node:
        case ast.Constant():
            return node.value
        case ast.Name():
            return _named(node.id, info, line)
        case ast.BinOp() if type(node.op) in _OPERATIONS:
            left, right = _value(node.left, info, line), _value(node.right, info, line)
            return _OPERATIONS[type(node.op)](left, right)
        case ast.BoolOp():
            values = [bool(_value(one, info, line)) for one in node.values]
            return all(values) if isinstance(node.op, ast.And) else any(values)
        case ast.UnaryOp(op=ast.USub()):
            return -_value(node.operand, info, line)
        case ast.UnaryOp(op=ast.Not()):
            return not _value(node.operand, info, line)
        case ast.Compare():
            return _compare(node, info, line)
        case _:
            raise UnsupportedError(f"Python as {ast.unparse(node)!r}", line)


def _named(name: str, info: Mapping[str, object], line: int) -> object:
    field = name.removeprefix("tcpi_")
    if name in _CONSTANTS:
        return _CONSTANTS[name]
    if name.startswith("tcpi_") and field in info:
        return info[field]
    raise UnsupportedError(f"{name} of TCP_INFO", line)


def _compare(node: ast.Compare, info: Mapping[str, object], line: int) -> bool:
    values = [_value(one, info, line) for one in (node.left, *node.comparators)]
    pairs = zip(values, node.ops, values[1:], strict=False)
    return all(_OPERATIONS[type(op)](left, right) for left, op, right in pairs)
