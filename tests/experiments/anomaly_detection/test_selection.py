from radogaga.experiments.anomaly_detection.selection import COMPARED, plan, select
from radogaga.experiments.anomaly_detection.settings import SCALINGS, Config


def test_every_scaling_of_every_compared_set_is_a_run():
    names = [run.name for run in plan(Config())]
    assert sorted(names) == sorted(f"selection-{data}-{scaling}" for data in COMPARED for scaling in SCALINGS)
    assert plan(Config(data=("kddcup",))) == []


def test_a_row_has_a_log_density_for_each_distribution_of_the_residual(thyroid):
    row, arrays = select(Config(), "thyroid", "standard")
    assert (row["data"], row["scaling"], arrays) == ("thyroid", "standard", {})
    assert -30 < row["gaussian"] < 0
    # The rows are Gaussian about a line.
    assert abs(row["student_t"] - row["gaussian"]) < 0.5
