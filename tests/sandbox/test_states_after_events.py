"""What a running sandbox says of itself after the events of an experiment."""

from __future__ import annotations

import asyncio

import pytest

from testbed.experiment import events
from testbed.experiment.load import loads
from testbed.experiment.programs import Programs
