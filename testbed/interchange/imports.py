"""What comes of reading another program's network: our own document, and what did not fit in.

A reader of a format returns an :class:`Imported`.  ``testbed import`` (``testbed/cli/import_.py``)
writes it; nothing else is asked of a format.
"""

from __future__ import annotations

import msgspec

from testbed import document
from testbed.document import Data
from testbed.errors import InputError
from testbed.topology.resolve import resolve
from testbed.topology.spec import TopologySpec


class Note(msgspec.Struct, frozen=True):
    """Something that has no counterpart, or that differs.

    :param where: the link, node or line it is about; empty: all of it.
    """

    where: str
    what: str

    def __str__(self) -> str:
        return f"{self.where}: {self.what}" if self.where else self.what


class Imported(msgspec.Struct, frozen=True, kw_only=True):
    """A topology, or an experiment with its topology, as plain data.

    :param origin: the file it was read from, for the first line of ours.
    :param format: the name of the format.
    """

    origin: str
    format: str
    data: dict[str, Data]
    notes: tuple[Note, ...] = ()

    @property
    def kind(self) -> str:
        """``topology`` or ``experiment``."""
        return "experiment" if "topology" in self.data else "topology"

    def text(self) -> str:
        """Return the YAML file, with the notes as comments at its beginning."""
        heading = f"Imported from the {self.format} file {self.origin!r}."
        lines = [heading, *(f"Note: {note}" for note in self.notes)]
        comment = "".join(f"# {line}\n" for each in lines for line in each.splitlines())
        return comment + document.dump(self.data)

    def check(self) -> None:
        """Check that the topology can be built.

        :raises InputError: why not; it names a place in the text that :meth:`text` returns.
        """
        network = self.data["topology"] if self.kind == "experiment" else self.data
        written = document.dump(network)
        try:
            resolve(document.loads(written, TopologySpec, f"{self.origin}, as imported"))
        except InputError as error:
            plain = (
                InputError(one.message, file=one.file, path=one.path, hint=one.hint)
                for one in error.every  # the lines are those of a text that nobody sees
            )
            raise InputError.together(list(plain)) from None
