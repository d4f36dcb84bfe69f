"""Makes test/ importable, and its fixtures known."""

import sys
from pathlib import Path

sys.path[:0] = [str(Path(__file__).resolve().parent), str(Path(__file__).resolve().parent.parent)]

from fixtures import *  # noqa: E402,F401,F403

import harness  # noqa: E402
import pytest  # noqa: E402

from arena import Arena, Control  # noqa: E402


@pytest.fixture(scope="session")
def reference():
    """A session on a server that nobody attacks (see arena.py)."""
    with harness.serve() as server:
        control = Control(server.address)
        yield control
        control.kill()


@pytest.fixture
def arena(serve, reference, request):
    """Start a server with it, misbehave; the checks come at the end (see arena.py)."""
    place = Arena(serve, reference)
    try:
        yield place
        if place.server and not getattr(request.node, "call_failed", False):
            place.check()
    finally:
        place.finish()
