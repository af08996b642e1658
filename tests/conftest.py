"""Settings shared by all tests."""

import os
from pathlib import Path

import pytest
from hypothesis import settings

ROOT = Path(__file__).resolve().parent.parent

# As the notebooks' first cell does: before TensorFlow is imported by any test.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "0")

# HYPOTHESIS_PROFILE=long draws 50 times as many layers, and other ones in every run.
settings.register_profile("ci", deadline=None, derandomize=True, print_blob=True)
settings.register_profile("long", deadline=None, print_blob=True)
PROFILE = os.environ.get("HYPOTHESIS_PROFILE", "ci")
settings.load_profile(PROFILE)


def examples(count):
    """Return how many examples to draw: `count` in CI, 50 times as many in the long profile."""
    return 50 * count if PROFILE == "long" else count


@pytest.fixture(scope="session")
def root():
    """Return the repository's root."""
    return ROOT
