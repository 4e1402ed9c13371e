import pytest
import torch
from torch import Tensor

from radogaga import InputError
from radogaga.method.training.data import ArrayDataset, BatchSampler, Dataset, as_dataset, iter_batches, map_rows


class Doubled:
    """Rows of one's own kind, made when they are read."""

    def __init__(self, x: Tensor) -> None:
        self.x, self.shape = x, tuple(x.shape)

    def __getitem__(self, indices: slice) -> Tensor:
        return 2 * self.x[indices]

    def batch(self, indices: Tensor, device: torch.device) -> Tensor:
        return 2 * self.x[indices].to(device)


CPU = torch.device("cpu")


def test_rows_in_memory_are_read_by_slice_and_by_index() -> None:
    x = torch.randn(5, 3)
    data = ArrayDataset(x)
    assert isinstance(data, Dataset)
    assert data.shape == (5, 3)
    assert torch.equal(data[1:3], x[1:3])
    assert torch.equal(data.batch(torch.tensor([4, 0]), CPU), x[[4, 0]])


def test_arrays_become_single_precision_and_a_data_set_stays_as_it_is() -> None:
    assert as_dataset([[1, 2], [3, 4]])[:].dtype == torch.float32
    assert as_dataset(torch.rand(4, 3, 8, 8).double()).shape == (4, 3, 8, 8)
    data = Doubled(torch.randn(5, 3))
    assert as_dataset(data) is data


REFUSED = {
    "nan": lambda: torch.full((2, 3), torch.nan),
    "nan in a picture": lambda: torch.full((2, 1, 4, 4), torch.nan),
    "a cube": lambda: torch.zeros(2, 3, 4),
    "text": lambda: [["a"]],
    "too few": lambda: torch.zeros(1, 3),
    "too few of one's own": lambda: Doubled(torch.zeros(1, 3)),
}


@pytest.mark.parametrize("make", REFUSED.values(), ids=REFUSED)
def test_what_cannot_be_trained_on_is_refused_by_name(make) -> None:
    with pytest.raises(InputError, match=r"Expected .*the patients"):
        as_dataset(make(), min_rows=2, name="the patients")


@pytest.mark.parametrize("wrap", [lambda x: x, ArrayDataset, Doubled], ids=["tensor", "array", "one's own"])
@pytest.mark.parametrize("n", [1, 8192, 20_000])
def test_batches_are_all_rows_in_their_order(wrap, n: int) -> None:
    rows = wrap(torch.arange(float(n))[:, None])
    parts = list(iter_batches(rows))
    assert torch.equal(torch.cat(parts), rows[0:n])
    assert max(map(len, parts)) <= 8192


def test_a_function_of_all_rows_is_that_of_the_batches() -> None:
    x = torch.randn(9000, 2)
    assert torch.equal(map_rows(torch.exp, x, CPU), x.exp())
    assert torch.equal(map_rows(torch.exp, Doubled(x), CPU), (2 * x).exp())


@pytest.mark.parametrize(("rows", "size"), [(10, 3), (12, 4), (5, 5)])
def test_an_epoch_is_without_replacement(rows: int, size: int) -> None:
    sampler = BatchSampler(rows, size)
    for _ in range(3):
        epoch = torch.cat([sampler.draw() for _ in range(rows // size)])
        assert len(epoch.unique()) == len(epoch) == rows // size * size
