"""What the sampler says on its standard output: JSON, one object a line."""

from __future__ import annotations

import msgspec

from testbed.errors import PlatformError, SandboxError, TestbedError


class Summary(msgspec.Struct, frozen=True, kw_only=True):
    """What a sampler did, its own cost included.

    :param missed: samples that were due while an earlier one was still being taken.
    :param cpu_s: user and system time, from its first instruction.
    """

    samples: int
    records: int
    missed: int
    cpu_s: float


class Message(msgspec.Struct, frozen=True, kw_only=True, tag_field="event"):
    """Base of what it says."""


class Ready(Message, frozen=True, kw_only=True, tag="ready"):
    """Every probe is at work, and the first sample is taken."""


class Stopped(Message, frozen=True, kw_only=True, tag="stopped"):
    """All records are written."""

    summary: Summary


class Failed(Message, frozen=True, kw_only=True, tag="failed"):
    """It cannot go on; ``platform`` is what, why and instead where the machine cannot do it."""

    message: str
    hint: str | None = None
    platform: tuple[str, str, str] | None = None

    @classmethod
    def of(cls, error: Exception) -> Failed:
        """Put an error into words."""
        match error:
            case PlatformError():
                platform = (error.what, error.why, error.instead)
                return cls(message=error.message, platform=platform)
            case TestbedError():
                return cls(message=error.message, hint=error.hint)
            case _:
                return cls(message=f"{type(error).__name__}: {error}")

    def error(self) -> TestbedError:
        """Return the error again."""
        if self.platform is None:
            return SandboxError(f"the sampler failed: {self.message}", hint=self.hint)
        what, why, instead = self.platform
        return PlatformError(what, why=why, instead=instead)


AnyMessage = Ready | Stopped | Failed
