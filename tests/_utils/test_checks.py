import math

import numpy as np
import pandas as pd
import pytest
import torch
from scipy import sparse
from torch import Tensor

from radogaga import InputError
from radogaga._utils.checks import check_no_constant_columns, check_rows

NUMBERS = [[1, 2], [3, 4], [5, 6]]
FORMS = {
    "lists": NUMBERS,
    "tuples": tuple(map(tuple, NUMBERS)),
    "integers": np.array(NUMBERS),
    "float32": np.array(NUMBERS, np.float32),
    "float16": np.array(NUMBERS, np.float16),
    "other byte order": np.array(NUMBERS, ">f8"),
    "columns first": np.asfortranarray(np.array(NUMBERS, float)),
    "backwards": np.array(NUMBERS[::-1], float)[::-1],
    "numbers as objects": np.array(NUMBERS, object),
    "numbers as text": np.array(NUMBERS).astype(str),
    "read-only": np.frombuffer(np.array(NUMBERS, float).tobytes()).reshape(3, 2),
    "data frame": pd.DataFrame(NUMBERS, columns=["a", "b"]),
    "mixed data frame": pd.DataFrame({"a": [1, 3, 5], "b": [2.0, 4.0, 6.0]}),
    "nullable data frame": pd.DataFrame(NUMBERS).convert_dtypes(),
    "integer tensor": torch.tensor(NUMBERS),
    "tensor": torch.tensor(NUMBERS, dtype=torch.float32),
}
BAD = {
    "text": ([["a", "b"]], "Expected numbers"),
    "text among numbers": ([[1, "b"]], "Expected numbers"),
    "objects": (np.array([[object(), object()]]), "Expected numbers"),
    "sparse": (sparse.csr_matrix(np.eye(2)), "Expected"),
    "dates": (np.array([["2020-01-01", "2020-01-02"]], "datetime64[D]"), "Expected numbers"),
    "complex numbers": (np.array([[1 + 2j, 1]]), "Expected numbers"),
    "complex tensor": (torch.tensor([[1 + 2j, 1]]), "Expected numbers"),
    "nan": ([[1.0, math.nan]], "finite numbers.*nan in row 0, column 1"),
    "missing": (pd.DataFrame({"a": [1.0, 2.0], "b": [1.0, None]}), "finite numbers.*row 1, column 1"),
    "missing object": (np.array([[1, 2], [None, 4]], object), "finite numbers.*row 1, column 0"),
    "infinite": ([[0.0, 1.0], [-math.inf, 1.0]], "finite numbers.*-inf in row 1, column 0"),
    "one number": (3.0, "rows and columns"),
    "one row": ([1.0, 2.0], r"rows and columns.*\(2,\)"),
    "one row as a tensor": (torch.ones(2), r"rows and columns.*\(2,\)"),
    "a cube": (np.ones((2, 2, 2)), r"rows and columns.*\(2, 2, 2\)"),
    "ragged rows": ([[1.0, 2.0], [3.0]], "Expected"),
    "nothing": ([], "rows and columns"),
}


@pytest.mark.parametrize("x", FORMS.values(), ids=FORMS)
def test_numbers_become_rows_in_any_form(x: object) -> None:
    rows = check_rows(x, columns=2, min_rows=3)
    assert rows.is_floating_point()
    assert rows.tolist() == NUMBERS


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
def test_floats_keep_their_precision(dtype: torch.dtype) -> None:
    x = torch.rand(3, 2, dtype=dtype)
    assert torch.equal(check_rows(x), x)
    assert check_rows(x).dtype == check_rows(x.numpy()).dtype == dtype


@pytest.mark.parametrize(("x", "message"), BAD.values(), ids=BAD)
def test_bad_rows_are_refused_in_a_sentence(x: object, message: str) -> None:
    with pytest.raises(InputError, match=message):
        check_rows(x)


@pytest.mark.parametrize(("x", "message"), BAD.values(), ids=BAD)
def test_messages_name_the_rows_and_say_what_to_do(x: object, message: str) -> None:
    with pytest.raises(InputError, match=r"^Expected .*the patients.* got .*\. [A-Z].*\.$"):
        check_rows(x, name="the patients")


@pytest.mark.parametrize("columns", [1, 3])
def test_other_columns_are_refused(columns: int) -> None:
    with pytest.raises(InputError, match=f"Expected {columns} columns.*got 2"):
        check_rows(NUMBERS, columns=columns)


def test_too_few_rows_are_refused() -> None:
    with pytest.raises(InputError, match=r"at least 4 rows.*got 3"):
        check_rows(NUMBERS, min_rows=4)
    with pytest.raises(InputError, match=r"at least 1 rows.*got 0"):
        check_rows(np.ones((0, 2)))


CONSTANT = {
    "first": (torch.tensor([[1.0, 2.0], [1.0, 3.0]]), "0"),
    "last": (torch.tensor([[1.0, 2.0], [3.0, 2.0]]), "1"),
    "all of one row": (torch.ones(1, 3), "0, 1, 2"),
    "very many": (torch.ones(2, 50), r"0, 1, 2, 3, 4, \.\.\."),
}


@pytest.mark.parametrize(("rows", "columns"), CONSTANT.values(), ids=CONSTANT)
def test_constant_columns_are_refused_by_number(rows: Tensor, columns: str) -> None:
    with pytest.raises(InputError, match=rf"the patients; got .*\({columns}\)"):
        check_no_constant_columns(rows, "the patients")


def test_columns_that_vary_are_welcome() -> None:
    x = torch.ones(100, 2)
    x[-1] = torch.tensor([1.0 + 1e-6, 2.0])
    check_no_constant_columns(x)


def test_input_errors_are_value_errors() -> None:
    with pytest.raises(ValueError, match="Expected"):
        check_rows([1.0])
