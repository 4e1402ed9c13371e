"""Starting costs nothing: what a new process has loaded after each of the first things that a user does."""

import subprocess
import sys

import pytest

import radogaga


def loaded_after(code: str) -> set[str]:
    """Return the modules that a new process has loaded after some code."""
    code += "\nimport sys; print('\\n'.join(sys.modules))"
    return set(subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split())


HEAVY = {"torch", "sklearn", "scipy", "numpy", "pandas", "pyarrow", "matplotlib", "rich", "typer"}


def test_importing_the_package_loads_next_to_nothing():
    assert not loaded_after("import radogaga; radogaga.__version__; radogaga.InputError; dir(radogaga)") & HEAVY


@pytest.mark.parametrize("arguments", [["--version"], ["--help"], ["fit", "--help"], ["reproduce", "--help"]], ids=str)
def test_help_and_version_load_no_more_than_they_show(arguments):
    code = f"""
import sys
sys.argv = ["radogaga", *{arguments}]
from radogaga.cli.main import main
try:
    main()
except SystemExit:
    pass"""
    assert not loaded_after(code) & (HEAVY - {"rich", "typer"})


def test_a_verbose_fit_loads_no_experiments_and_no_plots():
    code = "import numpy as np, radogaga; radogaga.RaDOGAGA(max_steps=1, verbose=1).fit(np.random.rand(60, 2))"
    foreign = ("radogaga.experiments", "radogaga.cli", "radogaga.integrations", "matplotlib")
    assert not {name for name in loaded_after(code) if name.startswith(foreign)}


@pytest.mark.parametrize("name", radogaga.__all__)
def test_every_public_name_is_there(name):
    assert getattr(radogaga, name) is not None
    assert name in dir(radogaga)


def test_unknown_names_are_no_attributes():
    with pytest.raises(AttributeError, match="nonsense"):
        radogaga.nonsense  # noqa: B018
