"""Readers, runners and writers for the file formats of other programs."""
