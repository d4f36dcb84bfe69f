"""Rows whose full count takes minutes run at a reduced one, which their name says; HOSTILE=full runs them whole."""

import os

import pytest

FULL = os.environ.get("HOSTILE") == "full"


def reduced(count, full):
    """Parametrizes `count`; `pytest -m reduced` selects these rows (scripts/hostile-full)."""
    label = f"{full}" if FULL else f"{count}-of-{full}"

    def decorate(function):
        chosen = pytest.mark.parametrize("count", [full if FULL else count], ids=[label])
        return pytest.mark.reduced(chosen(function))

    return decorate
