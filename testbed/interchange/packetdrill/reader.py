"""The token reader of the parser."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec

from testbed.errors import InputError
from testbed.interchange.packetdrill.lexer import Token


class Reader:
    """The remaining tokens.

    :param defines: the replacements of words.
    """

    def __init__(self, pieces: Sequence[Token], file: str, defines: Mapping[str, str]) -> None:
        self.file = file
        self._pieces = pieces
        self._at = 0
        self._line = 1
        self._defines = defines

    @property
    def peek(self) -> Token:
        """The next token, which is not consumed."""
        return self._replaced(self._pieces[self._at])

    def next(self) -> Token:
        """Consume the next token."""
        token = self.peek
        if token.kind != "end":
            self._at += 1
        self._line = token.line
        return token

    @property
    def line(self) -> int:
        """The line of the last consumed token."""
        return self._line

    def take(self, text: str) -> bool:
        """Consume the next token if it has this text; return whether it has."""
        if self.peek.text != text or self.peek.kind in ("string", "shell"):
            return False
        self.next()
        return True

    def expect(self, text: str) -> None:
        """Consume a token with this text.

        :raises InputError: the next token is another one.
        """
        if not self.take(text):
            raise self.error(repr(text), self.peek)

    def word(self, what: str) -> str:
        """Consume a word. ``what`` names the expected kind for the error."""
        token = self.next()
        if token.kind != "word":
            raise self.error(what, token)
        return token.text

    def integer(self, what: str) -> int:
        """Consume an integer with its sign."""
        sign = -1 if self.take("-") else 1
        token = self.next()
        if token.kind not in ("int", "hex"):
            raise self.error(what, token)
        return sign * int(token.text, 0 if token.kind == "hex" else 10)

    def number(self, what: str, bits: int = 32) -> int:
        """Consume a number of at most ``bits`` bits.

        :raises InputError: the next token is no number, or it is too large.
        """
        token = self.peek
        value = self.integer(what)
        if not 0 <= value < 1 << bits:
            raise self.error(f"{what} of {bits} bits", token)
        return value

    def blob(self) -> str:
        """Consume all tokens up to the next space, for example hexadecimal digits."""
        text = self.next().text
        while self.peek.glued and self.peek.kind in ("word", "int"):
            text += self.next().text
        return text

    def error(self, wanted: str, got: Token, hint: str | None = None) -> InputError:
        """Return the error for an unexpected token."""
        text = got.text if got.kind == "end" else repr(got.text)
        return InputError(
            f"{wanted} is expected, not {text}", file=self.file, line=got.line, hint=hint
        )

    def _replaced(self, token: Token) -> Token:
        if token.kind != "word" or token.text not in self._defines:
            return token
        return msgspec.structs.replace(token, text=self._defines[token.text])
