"""ssh-audit's verdict on what the server offers, by the policy in conf/ssh-audit.policy."""

import subprocess
from pathlib import Path

import pytest

import harness

POLICY = harness.ROOT / "conf" / "ssh-audit.policy"


def cpu_has_aes():
    return any(line.startswith(("flags", "Features")) and " aes" in line for line in Path("/proc/cpuinfo").open())


def policy_ciphers():
    (line,) = (each for each in POLICY.read_text().splitlines() if each.startswith("ciphers"))
    return line.partition("=")[2].replace(" ", "")


def audit(server, *arguments):
    return subprocess.run(
        ["ssh-audit", "-n", *arguments, "-p", str(server.port), server.address[0]],
        capture_output=True,
        text=True,
        timeout=60,
    )


@pytest.mark.parametrize("options", [{"algorithms": "modern"}, {"profile": "exposed"}], ids=["modern", "exposed"])
def test_modern_passes_the_policy(serve, options):
    order = {} if cpu_has_aes() else {"ciphers": policy_ciphers()}
    server = serve(options={**options, **order})
    result = audit(server, "-P", POLICY)
    assert result.returncode == 0 and "Passed" in result.stdout, result.stdout


# Each a value that ssh-audit itself offers: where nothing is in common the connection may end before it has read our list.
@pytest.mark.parametrize(
    "option, value, said",
    [
        ("kex", "diffie-hellman-group14-sha256", "Key exchanges"),
        ("ciphers", "aes256-ctr", "Ciphers"),
        ("macs", "hmac-sha1", "MACs"),
        ("host-key-types", "ecdsa", "Host keys"),
    ],
)
def test_other_algorithms_fail_the_policy(serve, option, value, said):
    result = audit(serve(options={"algorithms": "modern", option: value}), "-P", POLICY)
    assert result.returncode != 0 and "Failed" in result.stdout and said in result.stdout, result.stdout


def test_nothing_fails_in_the_open_audit(serve):
    """Without a policy: no algorithm that ssh-audit calls broken."""
    result = audit(serve(options={"algorithms": "modern"}))
    assert "[fail]" not in result.stdout and "(cve)" not in result.stdout, result.stdout
    assert "(kex) curve25519-sha256" in result.stdout, result.stdout
