import json
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from radogaga import InputError
from radogaga.experiments.experiment import Experiment, reproduce
from radogaga.experiments.runs import Run
from radogaga.experiments.tables import Table


@dataclass
class Config:
    numbers: tuple[int, ...] = (1, 2)
    steps: int = 0
    called: list[str] = field(default_factory=list)

    def fixed(self) -> dict:
        return {"experiment": "square", "steps": self.steps}

    def described(self) -> dict:
        return {"numbers": list(self.numbers)}


def run(config: Config, number: int, **callbacks) -> tuple[dict, dict]:
    config.called.append(f"run {number}")
    for on_step in callbacks.values():
        on_step(config.steps)
    return {"number": number, "seconds": 0.0}, {}


def check(config: Config) -> None:
    config.called.append("check")
    if not config.numbers:
        raise InputError("Expected numbers.")


def plan(config: Config) -> list[Run]:
    return [Run(f"square-{number}", run, (config, number), steps=config.steps) for number in config.numbers]


SQUARE = Experiment(
    "square",
    check=check,
    plan=plan,
    table=lambda rows: Table("Squares", ["number"], [[str(row["number"])] for row in rows], words=0),
    report=lambda out, config, rows: (out / "report.html").write_text(str([row["square"] for row in rows])),
    compare=lambda out, rows: [row | {"square": row["number"] ** 2} for row in rows],
    parallel=False,
)


def test_an_experiment_leaves_its_result_and_its_report(tmp_path):
    config = Config()
    rows = reproduce(SQUARE, config, tmp_path / "out")
    assert config.called == ["check", "run 1", "run 2"]
    assert [row["square"] for row in rows] == [1, 4]
    result = json.loads((tmp_path / "out" / "result.json").read_text())
    assert (result["experiment"], result["config"], result["rows"]) == ("square", {"numbers": [1, 2]}, rows)
    assert (tmp_path / "out" / "report.html").read_text() == "[1, 4]"


def test_it_goes_on_where_it_stopped(tmp_path):
    reproduce(SQUARE, Config((1,)), tmp_path)
    config = Config((1, 3))
    assert [row["number"] for row in reproduce(SQUARE, config, tmp_path)] == [1, 3]
    assert config.called == ["check", "run 3"]


def test_a_restart_runs_all_again(tmp_path):
    reproduce(SQUARE, Config(), tmp_path)
    config = Config()
    reproduce(SQUARE, config, tmp_path, restart=True)
    assert config.called == ["check", "run 1", "run 2"]


def test_runs_and_steps_are_reported(tmp_path):
    told = []
    reproduce(
        SQUARE,
        Config(steps=7),
        tmp_path,
        on_start=lambda runs: told.append(len(runs)),
        on_step=lambda run, step: told.append((run.name, step)),
        on_done=lambda run, row: told.append(run.name),
    )
    assert told == [2, ("square-1", 7), "square-1", ("square-2", 7), "square-2"]


def test_report_only_reads_what_is_kept_and_neither_runs_nor_checks(tmp_path):
    reproduce(SQUARE, Config((1, 2)), tmp_path)
    for name in ("result.json", "report.html"):
        (tmp_path / name).unlink()
    config = Config((1, 2, 3))
    assert [row["number"] for row in reproduce(SQUARE, config, tmp_path, report_only=True)] == [1, 2]
    assert config.called == []
    assert (tmp_path / "report.html").read_text() == "[1, 4]"
    assert (tmp_path / "result.json").is_file()


def test_report_only_needs_runs_of_the_same_settings(tmp_path):
    with pytest.raises(InputError, match="Drop --report-only"):
        reproduce(SQUARE, Config(), tmp_path / "out", report_only=True)
    assert not (tmp_path / "out").exists()
    reproduce(SQUARE, Config(), tmp_path / "out")
    with pytest.raises(InputError, match="settings"):
        reproduce(SQUARE, Config(steps=7), tmp_path / "out", report_only=True)


@pytest.mark.parametrize("broken", ["check", "plan"])
def test_what_cannot_be_run_is_refused_before_anything_is_written(tmp_path: Path, broken: str):
    def refuse(config: Config) -> None:
        raise InputError("Expected better.")

    with pytest.raises(InputError, match="Expected better"):
        reproduce(replace(SQUARE, **{broken: refuse}), Config(), tmp_path / "out")
    assert not (tmp_path / "out").exists()


def double(number: int) -> tuple[dict, dict]:
    return {"number": 2 * number, "seconds": 0.0}, {}


def test_callbacks_of_parallel_runs_need_not_be_picklable(tmp_path):
    experiment = replace(SQUARE, parallel=True, plan=lambda config: [Run(f"{n}", double, (n,)) for n in config.numbers])
    done = []
    reproduce(experiment, Config(), tmp_path, jobs=2, on_done=lambda run, row: done.append(row["number"]))
    assert sorted(done) == [2, 4]
