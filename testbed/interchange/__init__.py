"""Formats of other programs: what they wrote is read, and carried out, here."""
