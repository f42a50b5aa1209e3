"""The measurement of a candidate: `testbed run` in a separate process, and its results."""

from __future__ import annotations

import contextlib
import re
import shutil
import signal
import subprocess
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import IO, Final

from testbed.analysis.sides import Side
from testbed.campaign.bisect.model import Candidate, Wanted
from testbed.campaign.bisect.places import Place, Start, UnusableError
from testbed.campaign.sides import of_folder
from testbed.errors import InputError, StoreError
from testbed.machine import processes

LOG: Final = "run.log"  # the output of the program
_CANNOT, _INTERRUPTED = 4, 130  # exit codes of testbed, see testbed.errors
_NO_NAME: Final = re.compile(r"[^\w.+-]+")
_ERROR: Final = "testbed: "


class Measuring:
    """Measures candidates, each in a separate folder: ``02-1a2b3c4d5``, ``02-1a2b3c4d5-20runs``.

    After an interruption of the search, earlier results are read, not measured again.

    :param directory: the folder of the search.
    :param place: the place where candidates are measured.
    :param tell: a function that receives lines about the progress of the runs.
    """

    def __init__(
        self, wanted: Wanted, directory: Path, place: Place, tell: Callable[[str], None]
    ) -> None:
        self._wanted, self._directory = wanted, directory
        self._place, self._tell = place, tell
        self._sides: dict[Path, Side] = {}
        self._measured: dict[str, Path] = {}

    @property
    def first(self) -> Path:
        """The first folder: the good end with the repetitions of the experiment."""
        return next(iter(self._measured.values()))

    def measured(self, candidate: Candidate, number: int, repetitions: int | None) -> Path:
        """Return the result folder of a candidate, relative to that of the search.

        :param number: the number of the step.
        :param repetitions: runs of each cell; by default those of the experiment.
        :raises UnusableError: it cannot be built, no run was possible, or none can be read.
        """
        name = f"{number:02d}-{_NO_NAME.sub('_', candidate.short)}"
        if repetitions is not None:
            name += f"-{repetitions}runs"
        if name not in self._measured:
            found = self._found(candidate, self._directory / name, repetitions)
            self._measured[name] = found.relative_to(self._directory)
        return self._measured[name]

    def side(self, folder: Path, candidate: Candidate) -> Side:
        """Return a side of a comparison, named after the candidate.

        :param folder: the result folder, relative to that of the search.
        :raises UnusableError: it cannot be read, or lacks a metric.
        """
        if folder not in self._sides:
            path = self._directory / folder
            try:
                self._sides[folder] = of_folder(
                    path, self._wanted.terms.metrics, name=candidate.short
                )
            except (InputError, StoreError) as error:
                raise UnusableError(error.message, hint=error.hint) from error
        return self._sides[folder]

    def _found(self, candidate: Candidate, folder: Path, repetitions: int | None) -> Path:
        """Return the result folder in a folder of a step, if it exists."""
        found = _results(folder)
        if found is None or not _complete(found):
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir(parents=True)
            start = self._place.ready(candidate, folder)
            self._run(start, folder, repetitions)
            found = _results(folder)
            if found is None:
                raise UnusableError("no run was finished", hint=f"see {folder / LOG}")
        side = self.side(found.relative_to(self._directory), candidate)
        self._place.check(candidate, side.environment)
        return found

    def _run(self, start: Start, folder: Path, repetitions: int | None) -> None:
        """Run the experiment.

        :raises UnusableError: no run was possible.
        :raises KeyboardInterrupt: the run was interrupted.
        """
        argv = [self._wanted.python, "-P", "-m", "testbed", "run", *self._wanted.arguments]
        argv += [*start.options, "--results", str(folder)]
        if repetitions is not None:
            argv += ["--repetitions", str(repetitions)]
        error = ""
        with (folder / LOG).open("ab") as log, _started(argv, start, log) as child:
            for octets in child.stderr or ():
                log.write(octets)
                line = octets.decode(errors="replace").rstrip()
                error = line if line.startswith(_ERROR) else error
                self._tell(line)
            status = child.wait()
        if status == _INTERRUPTED:
            raise KeyboardInterrupt
        if status and _results(folder) is None:
            hint = None if error else f"see {folder / LOG}"
            said = error.removeprefix(_ERROR) or f"testbed run ended with {status}"
            raise UnusableError(said, hint=hint, cannot=status == _CANNOT)


@contextlib.contextmanager
def _started(
    argv: Sequence[str], start: Start, log: IO[bytes]
) -> Iterator[subprocess.Popen[bytes]]:
    """Start a program that Ctrl-C does not reach; end it in order if this process is interrupted.

    :raises InputError: it cannot be started, as for any other candidate.
    """
    try:
        child = processes.start(
            argv,
            output=log,
            errors=subprocess.PIPE,
            directory=start.directory,
            environment=start.environment,
            death_signal=signal.SIGTERM,
        )
    except OSError as error:
        what = error.filename or argv[0]
        hint = "choose the interpreter of the steps with --python" if what == argv[0] else None
        raise InputError(f"{what} cannot be used: {error.strerror}", hint=hint) from error
    try:
        yield child
    except BaseException:
        child.terminate()  # `testbed run` treats it as Ctrl-C
        raise
    finally:
        try:
            child.wait()
        finally:
            child.kill()  # a second Ctrl-C
            if child.stderr is not None:
                child.stderr.close()


def _results(folder: Path) -> Path | None:
    """Return the single result folder in a folder.

    :raises InputError: the folder has several.
    """
    found = sorted(each.parent for each in folder.glob("*/*/experiment.json"))
    if len(found) > 1:
        raise InputError(
            f"{folder} contains {len(found)} result folders, but each step must have one",
            hint="if the experiment names several machines, add --machine M for one of them",
        )
    return found[0] if found else None


def _complete(folder: Path) -> bool:
    """Return whether all runs of a result folder are finished."""
    try:
        cells = of_folder(folder).cells
    except (InputError, StoreError):
        return False
    return all(len(it.repetitions) + it.failed + it.invalid >= it.planned for it in cells)
