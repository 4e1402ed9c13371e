"""Tables of any library as data frames."""

import numpy as np
import pandas as pd
import polars as pl
import pytest

from radogaga import InputError
from radogaga.tabular.columns.frames import as_frame


def test_a_frame_is_made_of_tables_only():
    assert as_frame(np.ones((3, 2))) is None
    assert as_frame(pd.Series([1.0])) is None
    assert as_frame(pl.Series([1.0])) is None
    with pytest.raises(InputError, match="0 rows under 2 columns"):
        as_frame(pd.DataFrame({"a": [], "b": []}))
