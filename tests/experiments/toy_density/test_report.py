from radogaga.experiments.toy_density.report import medians, terminal_table


def rows(*figures: float) -> list[dict]:
    return [
        {"data": "flat", "method": "m", "seed": seed, "pearson": figure, "log_error_mean": None}
        for seed, figure in enumerate(figures)
    ]


def test_medians_are_taken_over_seeds_and_skip_what_is_missing():
    assert medians(rows(0.1, 0.5, 0.9)) == [{"data": "flat", "method": "m", "seeds": 3, "pearson": 0.5}]


def test_the_table_has_a_line_for_each_method():
    table = terminal_table(rows(0.1, 0.5, 0.9))
    assert "3 seeds" in table.title
    assert [line[:3] for line in table.cells] == [["flat", "m", "0.5000"]]
    assert all(len(line) == len(table.headings) for line in table.cells)
