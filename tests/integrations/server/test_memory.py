"""A bound on memory that ends with its context."""

import sys

import numpy as np
import pytest

from radogaga.integrations.server.memory import limited_memory


@pytest.mark.skipif(sys.platform != "linux", reason="the bound is Linux' own")
def test_what_takes_too_much_is_refused_and_nothing_else():
    with limited_memory(2**20), pytest.raises(MemoryError):
        np.empty(2**28)  # two gigabytes
    with limited_memory(2**20):
        assert np.ones(2**20).sum() == 2**20
    assert np.empty(2**28).nbytes == 2**31
