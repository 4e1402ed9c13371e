"""A mixed table to learn from, shared by the tests of tables."""

import numpy as np
import pandas as pd


def mixed(rows: int = 300, seed: int = 0) -> pd.DataFrame:
    """People: age and income go together, the rest is on its own; some ages and cities are missing."""
    random = np.random.RandomState(seed)
    common = random.normal(size=rows)
    frame = pd.DataFrame(
        {
            "age": 40 + 10 * common + random.normal(size=rows),
            "income": np.exp(10 + 0.5 * common + 0.1 * random.normal(size=rows)),
            "children": random.poisson(2, rows),
            "member": random.rand(rows) < 0.3,
            "city": random.choice(["Rome", "Oslo", "Lima", "Bonn"], rows, p=[0.5, 0.3, 0.15, 0.05]),
            "since": pd.Timestamp("2024-01-01") + pd.to_timedelta(random.randint(0, 3 * 10**7, rows), unit="s"),
        }
    )
    return frame.mask(random.rand(rows, 6) < [0.1, 0, 0, 0, 0.05, 0])
