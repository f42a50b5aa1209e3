"""A fixed part of what hypothesis finds to do with a connection."""

from __future__ import annotations

from hypothesis import HealthCheck, settings

from tests.fuzz.stateful import Conversation

TestConversation = Conversation.TestCase
TestConversation.settings = settings(
    max_examples=40,
    stateful_step_count=40,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=list(HealthCheck),
)
