"""Makes test/ importable, and its fixtures known."""

import sys
from pathlib import Path

sys.path[:0] = [str(Path(__file__).resolve().parent), str(Path(__file__).resolve().parent.parent)]

from fixtures import *  # noqa: E402,F401,F403

import pytest  # noqa: E402

from arena import Arena, Pool, reference_server  # noqa: E402
from judge import TIMES_COUNT, Late  # noqa: E402


@pytest.fixture(scope="session")
def reference():
    """A server that nobody attacks (see judge.py), where times are judged."""
    if not TIMES_COUNT:
        yield None
        return
    with reference_server() as server:
        yield server


def pytest_collection_modifyitems(items):
    """Where times are judged, a row has the machine for itself."""
    for item in items:
        if TIMES_COUNT and "arena" in item.fixturenames:
            item.add_marker("alone")


def pytest_terminal_summary(terminalreporter):
    if not TIMES_COUNT:
        terminalreporter.line(
            "JUDGE=harm: whether bytes or sessions were lost was judged, how late echoes were was not"
        )


@pytest.fixture(scope="module")
def pool():
    held = Pool()
    yield held
    held.close()


@pytest.fixture
def arena(pool, reference, request):
    """Start a server with it, misbehave; the checks come when the test function is done (see arena.py)."""
    place = Arena(pool, reference, request.node.name)
    yield place
    place.finish(getattr(request.node, "call_failed", False))


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem):
    """A test that uses the arena is done when the arena has checked; one that was merely late is tried once more."""
    place = pyfuncitem.funcargs.get("arena")
    if place is None:
        return None
    arguments = {name: pyfuncitem.funcargs[name] for name in pyfuncitem._fixtureinfo.argnames}
    for last in (False, True):
        try:
            pyfuncitem.obj(**arguments)
            if place.server:
                place.check()
            return True
        except Late as late:
            if last:
                raise
            print(f"once more: {late}", file=sys.stderr)
            place.again()
