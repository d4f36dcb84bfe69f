"""Fixtures that the system and the hostile tests share: a server per test, from the build that BUILD names."""

import contextlib
import os
import signal

import pytest

import harness
import rawssh


# No test takes a third of this on two cores; one that hangs must not hold up the suite. Full counts take longer.
TEST_SECONDS = 3600 if "full" in (os.environ.get("HOSTILE"), os.environ.get("FAULTS")) else 100


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    outcome = yield
    if call.when == "call":
        item.call_failed = outcome.get_result().failed


@pytest.fixture(autouse=True)
def time_limit():
    def expired(number, frame):
        raise AssertionError(f"the test is not done after {TEST_SECONDS} s")

    previous = signal.signal(signal.SIGALRM, expired)
    signal.alarm(TEST_SECONDS)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, previous)


@pytest.fixture
def serve(request):
    """Starts servers as harness.serve does; all of them end, and are checked, with the test."""
    servers = []
    with contextlib.ExitStack() as stack:

        def start(**arguments):
            servers.append(stack.enter_context(harness.serve(**arguments)))
            return servers[-1]

        yield start
        if getattr(request.node, "call_failed", False):
            for each in servers:
                each.dump()


@pytest.fixture
def terminals():
    """For a test that needs a pseudo-terminal, which not every container has."""
    try:
        for each in os.openpty():
            os.close(each)
    except OSError as error:
        pytest.skip(f"no pseudo-terminals here: {error}")


@pytest.fixture
def server(serve):
    """The server as it comes, with one worker."""
    return serve()


@pytest.fixture
def dial():
    """Opens logged-in rawssh clients; each is closed, and its books are checked, at the end of the test."""
    with contextlib.ExitStack() as stack:
        yield lambda server, **options: stack.enter_context(rawssh.Client(server.address, **options)).login()


@pytest.fixture(scope="module")
def reporting(tmp_path_factory):
    """A server for all tests of a file that writes reports (reports.py finds them)."""
    directory = tmp_path_factory.mktemp("reports")
    with harness.serve(options={"report-file": directory / "reports"}) as server:
        server.reports = directory / "reports"
        yield server
