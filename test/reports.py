"""The reports that a server writes on its connections: found by the user that logged in, held against their schema."""

import hashlib
import json
import os

import jsonschema

import harness

SCHEMA = jsonschema.Draft7Validator(json.loads((harness.ROOT / "test/schema/sshechod-report-1.json").read_text()))

# Where libssh does its own I/O nobody reads along, and what the client offers is not known.
SEES_OFFERS = "batch-io=no" not in os.environ.get("SSHECHOD_OPTIONS", "")


def checked(report):
    SCHEMA.validate(report)
    return report


def path(server):
    return getattr(server, "reports", server.directory / "reports")


def lines(server, file=None):
    text = (file or path(server)).read_text()
    return [checked(json.loads(line)) for line in text.splitlines(keepends=True) if line.endswith("\n")]


def of_user(server, user, count=1, timeout=15):
    """The reports on the connections of this user, once there are so many."""

    def found():
        return [each for each in lines(server) if each["login"]["user"] == user]

    harness.wait_until(lambda: len(found()) >= count, timeout, f"{count} reports on {user}")
    return found()


def remarks(report):
    return {each["name"] for each in report["remarks"]}


def hassh(report):
    offered = report["who"]["offered"]
    keys = ("kex", "cipher_client_to_server", "mac_client_to_server", "compression_client_to_server")
    return hashlib.md5(";".join(",".join(offered[key]) for key in keys).encode()).hexdigest()
