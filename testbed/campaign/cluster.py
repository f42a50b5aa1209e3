"""A Dask cluster: workers on this host, or a scheduler elsewhere with its workers."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, Final

import msgspec

from testbed.campaign import at_worker
from testbed.errors import InputError, PlatformError, TestbedError
from testbed.hints import extra

if TYPE_CHECKING:
    from distributed import Client

_LOCAL: Final = "local:"
_SCHEMES: Final = ("tcp://", "tls://")
_ANSWER_S: Final = 20.0  # the wait for the scheduler's answer
_MOST: Final = 512  # workers on one host: a larger number is a typing error


class Site(msgspec.Struct, frozen=True, kw_only=True):
    """The location of a cluster: a number of workers on this host, or a scheduler's address."""

    workers: int = 0
    address: str | None = None

    def __str__(self) -> str:
        return self.address or f"{_LOCAL}{self.workers}"


def site(text: str) -> Site:
    """Parse the value of ``--on``.

    :raises InputError: the value is invalid.
    """
    if text.startswith(_LOCAL):
        number = text.removeprefix(_LOCAL)
        if number.isascii() and number.isdecimal() and 1 <= int(number) <= _MOST:
            return Site(workers=int(number))
        raise InputError(
            f"--on {text}: the number of workers must be from 1 to {_MOST}",
            hint="for example local:4",
        )
    if text.startswith(_SCHEMES) and text.split("://", 1)[1]:
        return Site(address=text)
    raise InputError(
        f"--on {text}: is neither local:N nor the address of a scheduler",
        hint="for example local:4 or tcp://scheduler:8786",
    )


class Cluster:
    """A connected cluster. :func:`connected` returns it.

    :param name: as ``--on`` names it.
    :param tell: a function that receives messages about workers that arrive, leave or are unfit.
    """

    def __init__(self, name: str, client: Client, tell: Callable[[str], None]) -> None:
        self.name = name
        self.client = client
        self.tell = tell

    def workers(self) -> list[str]:
        """Return the addresses of the connected workers.

        :raises TestbedError: the scheduler does not answer.
        """
        gone = TestbedError(
            f"the scheduler at {self.name} is gone",
            hint="finished runs are kept; do the rest with `testbed run --resume DIR`",
        )
        if self.client.status != "running":  # the client would reconnect without its jobs
            raise gone
        try:
            found: dict[str, Any] = self.client.sync(
                self.client.scheduler.identity, n_workers=-1, callback_timeout=_ANSWER_S
            )
        except (OSError, TimeoutError, RuntimeError, AttributeError) as error:
            raise gone from error  # the last two: the client has closed itself
        return list(found["workers"])


@contextlib.contextmanager
def connected(
    where: Site, tell: Callable[[str], None], patience_s: float = 10.0
) -> Iterator[Cluster]:
    """Connect to a cluster, or start one on this host that ends with the context.

    :param tell: a function that receives messages about workers that arrive, leave or are unfit.
    :param patience_s: how long the scheduler may take to answer.
    :raises PlatformError: dask.distributed is not installed, or no scheduler answers.
    """
    try:
        import distributed  # noqa: PLC0415 - an extra
    except ImportError:
        raise PlatformError(
            "dask.distributed is not installed",
            why="--on needs it",
            instead=extra("distributed"),
        ) from None
    _silence()
    with contextlib.ExitStack() as leaving:
        if where.address is None:
            there: Any = leaving.enter_context(
                distributed.LocalCluster(
                    n_workers=where.workers,
                    threads_per_worker=1,
                    processes=True,
                    dashboard_address=None,
                    # Its web server starts nevertheless: on any free port, as 8787 may be in use.
                    scheduler_kwargs={"dashboard_address": "127.0.0.1:0"},
                    silence_logs=logging.CRITICAL + 1,
                    preload=[at_worker.__name__],
                )
            )
        else:
            there = where.address
        try:
            client = distributed.Client(there, timeout=patience_s, set_as_default=False)
        except (OSError, TimeoutError, ValueError) as error:
            raise PlatformError(
                f"there is no scheduler at {where}",
                why=str(error) or type(error).__name__,
                instead="start one with `dask scheduler`",
            ) from error
        leaving.enter_context(client)
        yield Cluster(str(where), client, tell)


def _silence() -> None:
    """Stop Dask from logging: testbed itself reports lost workers and schedulers.

    Dask's configuration sets levels and handlers for some of its loggers.
    """
    for name in ["distributed", *logging.root.manager.loggerDict]:
        if name.partition(".")[0] == "distributed":
            logging.getLogger(name).setLevel(logging.CRITICAL + 1)
