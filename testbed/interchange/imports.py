"""The result of an import from another format: our document, and notes on differences.

The reader of a format returns an :class:`Imported`. ``testbed import`` (``testbed/cli/import_.py``)
writes it. A format needs no other function.
"""

from __future__ import annotations

import msgspec

from testbed import document
from testbed.document import Data
from testbed.errors import InputError
from testbed.topology.resolve import resolve
from testbed.topology.spec import TopologySpec


class Note(msgspec.Struct, frozen=True):
    """A note on an element that has no counterpart, or that differs.

    :param where: the link, node or line of the element; empty for the whole document.
    """

    where: str
    what: str

    def __str__(self) -> str:
        return f"{self.where}: {self.what}" if self.where else self.what


class Imported(msgspec.Struct, frozen=True, kw_only=True):
    """A topology, or an experiment with its topology, as plain data.

    :param origin: the source file, for the first line of our document.
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
        """Return the text of the YAML file, with the notes as comments at its beginning."""
        heading = f"Imported from the {self.format} file {self.origin!r}."
        lines = [heading, *(f"Note: {note}" for note in self.notes)]
        comment = "".join(f"# {line}\n" for each in lines for line in each.splitlines())
        return comment + document.dump(self.data)

    def check(self) -> None:
        """Check that the topology can be built.

        :raises InputError: the topology is invalid; the error names a place in the text that
            :meth:`text` returns.
        """
        network = self.data["topology"] if self.kind == "experiment" else self.data
        written = document.dump(network)
        try:
            resolve(document.loads(written, TopologySpec, f"{self.origin}, as imported"))
        except InputError as error:
            plain = (
                InputError(one.message, file=one.file, path=one.path, hint=one.hint)
                for one in error.every  # the user does not see the text that the lines count in
            )
            raise InputError.together(list(plain)) from None
