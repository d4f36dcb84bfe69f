"""Makes test/ importable, and its fixtures known."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from fixtures import *  # noqa: E402,F401,F403
from metrics_page import SERVED  # noqa: E402


@pytest.fixture
def observed(serve):
    """A server with metrics; more options by name."""

    def start(**arguments):
        arguments["options"] = {**SERVED, **arguments.get("options", {})}
        server = serve(**arguments)
        server.metrics = server.wait_line("metrics")["address"]
        return server

    return start
