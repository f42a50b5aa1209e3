"""The JSON Schema of ``published.yaml``."""

from __future__ import annotations

from typing import Any

import msgspec

from testbed.experiment.schema import whole
from testbed.papers.spec import PublishedSpec


def paper() -> dict[str, Any]:
    """Return the schema."""
    (root,), components = msgspec.json.schema_components([PublishedSpec])
    return whole("publication", root, components)
