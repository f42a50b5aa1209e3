"""Stacks with parameters, in the notation of experiments and command lines.

::

    tcp
    userspace(scheduler=blest, congestion=reno)
    userspace(scheduler=blest)/mptcp
    {userspace: {scheduler: blest}, label: blest}
"""

from __future__ import annotations

import functools
import itertools
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final, NoReturn

import msgspec

from testbed import document
from testbed.errors import InputError, all_of
from testbed.hints import nearest
from testbed.workload.stacks import options
from testbed.workload.stacks.model import Scalar, StackKind
from testbed.workload.stacks.registry import kind, names

LABEL: Final = "label"
_END: Final = re.compile(r"\s*([\w-]+)\s*(?:\((.*)\))?\s*", re.DOTALL)


class End(msgspec.Struct, frozen=True, kw_only=True):
    """The stack at one end of a flow.

    :param options: the options as written.
    """

    name: str
    options: dict[str, Scalar] = {}

    @property
    def kind(self) -> StackKind:
        """The kind of the stack. Raises InputError."""
        return kind(self.name)

    @property
    def decoded(self) -> Any:
        """The options struct of the stack. Raises InputError."""
        kind = self.kind
        known = options.names(kind)
        there = {name: value for name, value in self.options.items() if name in known}
        decoded, *_ = all_of(
            lambda: options.decode(kind, there),
            *(
                functools.partial(_refuse, kind.name, name, known)
                for name in self.options
                if name not in known
            ),
        )
        return decoded

    def check(self) -> None:
        """Check that the names in the options exist, and that the options are compatible.

        :raises InputError: some options are invalid. The error names all of them.
        """
        all_of(
            lambda: options.check_names(self.kind, self.options),
            lambda: options.check_pairs(self.kind, self.decoded),
        )

    @property
    def sysctls(self) -> Mapping[str, str]:
        """The options as sysctls of the node."""
        return self.kind.sysctls(self.decoded)

    def sets_by_sysctl(self, option: str) -> bool:
        """Return whether an option is a sysctl of the node, which affects every program there."""
        return option in self.kind.of_node

    def differences(self, used: Mapping[str, Scalar]) -> Iterator[str]:
        """Yield a text for each option that was not used as requested."""
        for name, asked in options.given(self.decoded).items():
            if name not in used:
                yield f"{name} {asked} was requested, but no report says what was used"
            elif used[name] != asked:
                yield f"{name} {asked} was requested, but {used[name]} was used"

    def __str__(self) -> str:
        if not self.options:
            return self.name
        given = (f"{name}={_written(value)}" for name, value in self.options.items())
        return f"{self.name}({', '.join(given)})"


class StackChoice(msgspec.Struct, frozen=True, kw_only=True):
    """The stacks of both ends of a flow.

    :param label: the name in tables, claims and cells.
    :param stands_for: the requested stack, if this one carries the flow instead.
    """

    label: str
    source: End
    target: End
    stands_for: str | None = None

    @property
    def protocol(self) -> str:
        """The protocol of both ends."""
        return self.source.kind.protocol

    @property
    def ends(self) -> tuple[End, End]:
        """The source's and the target's stack."""
        return self.source, self.target

    @property
    def name(self) -> str:
        """The names of the stacks, without options: ``userspace`` or ``mptcp/userspace``."""
        names = dict.fromkeys((self.source.name, self.target.name))
        return "/".join(names)

    @property
    def options(self) -> dict[str, Scalar]:
        """The options that were requested at either end."""
        return self.target.options | self.source.options

    @property
    def known(self) -> tuple[str, ...]:
        """The names of the options that one of the ends has."""
        return tuple(dict.fromkeys(name for end in self.ends for name in options.names(end.kind)))

    def check(self) -> StackChoice:
        """Check that everything the options name can be used here; return the same choice.

        A choice that was only read may be meant for another machine.

        :raises InputError: a scheduler, path manager or congestion control does not exist.
        """
        for end in self.ends:
            end.check()
        return self

    def has(self, option: str) -> bool:
        """Return whether one of the ends has an option."""
        return option in self.known

    def obeying(self, source: Mapping[str, Scalar], target: Mapping[str, Scalar]) -> StackChoice:
        """Return the same choice, with unset options taken from the two nodes.

        :raises InputError: a value is invalid for its option.
        """
        ends = [
            End(name=end.name, options={**_left_open(wanted, end), **end.options})
            for end, wanted in zip(self.ends, (source, target), strict=True)
        ]
        return _checked(msgspec.structs.replace(self, source=ends[0], target=ends[1]))

    def replaced(self, changed: Mapping[str, Scalar]) -> StackChoice:
        """Return the choice with changed options, each at the ends that have it. The label stays.

        :raises InputError: neither end has an option, or a value is invalid for it.
        """

        def check(name: str) -> None:
            if not self.has(name):
                _refuse(self.name, name, self.known)

        *_, source, target = all_of(
            *(functools.partial(check, name) for name in changed),
            *(functools.partial(_replaced, end, changed) for end in self.ends),
        )
        return msgspec.structs.replace(self, source=source, target=target)


def parse(text: str) -> StackChoice:
    """Parse ``NAME(OPTION=VALUE, ...)``, or two of these with a slash between.

    :raises InputError: a stack or option does not exist, or the two stacks differ in protocol.
    """
    written = re.split(r"/(?![^()]*\))", text)  # split at slashes outside parentheses
    if len(written) > 2:
        raise InputError(f"{text!r} names more than two stacks", hint="write SOURCE/TARGET")
    ends = [_end(one) for one in written]
    label = "/".join(map(str, ends))
    return _checked(StackChoice(label=label, source=ends[0], target=ends[-1]))


def read(raw: object) -> StackChoice:
    """Parse an item of ``stacks``: a text as in :func:`parse`, or ``{NAME: OPTIONS, label: ...}``.

    :raises InputError: as for :func:`parse`.
    """
    if isinstance(raw, str):
        return parse(raw)
    if not isinstance(raw, Mapping):
        raise InputError(f"{raw!r} is not a stack", hint="write NAME, or {NAME: {OPTION: VALUE}}")
    named = [name for name in raw if name != LABEL]
    if len(named) != 1:
        raise InputError(
            f"a stack has one name and an optional label, but this one has {len(named)} names",
            hint="write for example {userspace: {scheduler: ecf}, label: ecf}",
        )
    name, given = str(named[0]), raw[named[0]] or {}
    if not isinstance(given, Mapping):
        raise InputError(f"the options of {name!r} are not a mapping", hint="{OPTION: VALUE}")
    choice = parse(name)
    asked = {str(option): value for option, value in given.items()}
    choice = choice.replaced(asked)
    default = name if not asked else str(End(name=name, options=asked))
    return msgspec.structs.replace(choice, label=str(raw.get(LABEL) or default))


def ours(text: str) -> End:
    """Parse one of our own stacks, and check that everything its options name can be used here.

    :raises InputError: the text is invalid, names two stacks, or names a kernel stack.
    """
    choice = parse(text).check()
    source, target = choice.ends
    if source != target:
        raise InputError(f"{text!r} names two stacks", hint="a program uses one")
    if source.kind.in_kernel:
        there = ", ".join(name for name in names() if not kind(name).in_kernel)
        raise InputError(
            f"{source.name!r} is a stack of the kernel", hint=f"userspace stacks: {there}"
        )
    return source


def carried_by(choice: StackChoice, there: Sequence[str]) -> StackChoice:
    """Return the choice that replaces ``choice`` if only some stacks are available.

    :param there: the available stacks. The first one with the same protocol replaces a stack that
        is not available. The label stays.
    :raises InputError: no available stack has the protocol, or it lacks a requested option.
    """
    ends = []
    for end in choice.ends:
        name = end.name
        if name not in there:
            fitting = (one for one in there if kind(one).protocol == choice.protocol)
            name = next(fitting, "")
        if not name:
            hint = f"available: {', '.join(there)}"
            raise InputError(f"there is no stack {end.name!r} here", hint=hint)
        ends.append(End(name=name, options=end.options))
    found = _checked(msgspec.structs.replace(choice, source=ends[0], target=ends[1]))
    other = found.name != choice.name
    return msgspec.structs.replace(found, stands_for=choice.name if other else None)


def pairs() -> Iterator[str]:
    """Yield ``SOURCE/TARGET`` for all pairs of different stacks with the same protocol."""
    for source, target in itertools.permutations(names(), 2):
        if kind(source).protocol == kind(target).protocol:
            yield f"{source}/{target}"


def _left_open(wanted: Mapping[str, Scalar], end: End) -> dict[str, Scalar]:
    """Return the options of a node that apply to an end.

    A buffer of a chosen size does not grow, as with SO_RCVBUF.
    """
    chosen = "receive_buffer" in end.options
    return {
        name: value
        for name, value in wanted.items()
        if not (chosen and name == "receive_buffer_initial")
    }


def _checked(choice: StackChoice) -> StackChoice:
    source, target = choice.source.kind, choice.target.kind
    for end in choice.ends:
        _ = end.decoded
    if source.protocol != target.protocol:
        raise InputError(
            f"{source.name} speaks {source.protocol} and {target.name} {target.protocol}",
            hint=f"pairs: {', '.join(pairs())}",
        )
    return choice


def _end(text: str) -> End:
    match = _END.fullmatch(text)
    if match is None:
        raise InputError(f"{text!r} is not a stack", hint="write NAME or NAME(OPTION=VALUE, ...)")
    name, inside = match.groups()
    given: dict[str, Scalar] = {}
    for item in filter(str.strip, (inside or "").split(",")):
        option, equals, value = item.partition("=")
        if not equals:
            raise InputError(f"{item.strip()!r} is not OPTION=VALUE", hint=f"{name}(OPTION=VALUE)")
        if option.strip() in given:
            raise InputError(f"{option.strip()!r} is given twice for {name!r}")
        read_value, _ = document.parse(value, option.strip())
        given[option.strip()] = _scalar(option.strip(), read_value)
    return End(name=kind(name).name, options=given)


def _refuse(stack: str, option: str, known: Sequence[str]) -> NoReturn:
    """Raise an error for an option that a stack does not have, which names stacks that have it."""
    having = [name for name in names() if option in options.names(kind(name))]
    hint = f"a stack that has it: {', '.join(having)}" if having else nearest(option, known)
    raise InputError(f"the stack {stack!r} has no option {option!r}", hint=hint)


def _scalar(name: str, value: object) -> Scalar:
    if isinstance(value, str | int | float | bool) or value is None:
        return value
    raise InputError(f"the value of {name!r} must be a single value")


def _replaced(end: End, changed: Mapping[str, Scalar]) -> End:
    own = {name: value for name, value in changed.items() if name in options.names(end.kind)}
    replaced = End(name=end.name, options=end.options | own)
    _ = replaced.decoded
    return replaced


def _written(value: Scalar) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
