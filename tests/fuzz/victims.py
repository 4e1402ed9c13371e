"""Good files to damage, and what is done with them: each reader of the package, as the program uses it."""

import gzip
import io
import shutil
import struct
import tarfile
import zipfile
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
from PIL import Image
from pyarrow import ipc, parquet

from fuzz.mutations import alter_structure, damage
from mixed_table import mixed
from radogaga import RaDOGAGA, TabularModel
from radogaga.errors import InputError
from radogaga.images.prepare import prepare_images
from radogaga.tabular.files.table_files import read
from radogaga.tabular.scoring import score_file

ROWS = 60
GOLDEN = Path(__file__).parents[1] / "golden" / "0.1.0"
_TABLES = {"csv": "t.csv", "csv.gz": "t.csv.gz", "parquet": "t.parquet", "arrow": "t.arrow", "arrow stream": "s.arrow"}
_TABLES |= {"feather": "t.feather"}
_PICTURES = {"zip": "p.zip", "tar": "p.tar.gz", "idx": "p-idx3-ubyte.gz", "picture": "p.png"}


def make_victims(folder: Path) -> None:
    """Write the good files."""
    import warnings

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        RaDOGAGA(max_steps=5, random_state=0).fit(mixed(200)).save(folder / "model")
        for name in ("people", "numbers-both"):
            shutil.copytree(GOLDEN / name, folder / "former" / name)
    frame = mixed(ROWS, 1).assign(id=[f"{i:06}" for i in range(ROWS)])
    text = frame.to_csv(index=False).encode()
    (folder / "t.csv").write_bytes(text)
    (folder / "t.csv.gz").write_bytes(gzip.compress(text))
    table = pa.Table.from_pandas(frame.assign(city=frame["city"].astype("category")))
    parquet.write_table(pa.Table.from_pandas(frame), folder / "t.parquet", row_group_size=25)
    with ipc.new_file(str(folder / "t.arrow"), table.schema) as sink:
        sink.write_table(table, max_chunksize=25)
    with ipc.new_stream(str(folder / "s.arrow"), table.schema) as sink:
        sink.write_table(table, max_chunksize=25)
    frame.to_feather(folder / "t.feather")  # compressed
    _make_pictures(folder)


def _make_pictures(folder: Path) -> None:
    random = np.random.default_rng(0)
    pictures = []
    for form in ("PNG", "JPEG", "BMP", "PNG"):
        buffer = io.BytesIO()
        Image.fromarray(random.integers(256, size=(12, 16, 3), dtype=np.uint8)).save(buffer, form)
        pictures.append((f"{len(pictures)}.{form.lower()}", buffer.getvalue()))
    with zipfile.ZipFile(folder / "p.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in pictures:
            archive.writestr(name, content)
    with tarfile.open(folder / "p.tar.gz", "w:gz") as archive:
        for name, content in pictures:
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    header = struct.pack(">BBBBIII", 0, 0, 8, 3, 4, 12, 12)
    (folder / "p-idx3-ubyte.gz").write_bytes(gzip.compress(header + random.bytes(4 * 144)))
    (folder / "p.png").write_bytes(pictures[0][1])


class Attacker:
    """Runs one case: damages a copy of a good file and reads it.

    Parameters
    ----------
    folder : Path
        Where `make_victims` wrote.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.model = TabularModel.load(folder / "model")
        self.rows = mixed(20, 2)
        self.scores = {folder / "model": self.model.score(self.rows)}

    def run(self, kind: str, place: Path, random: np.random.Generator) -> str:
        """Return what came of it: refused, same scores, other scores, other scores of a forged model, or differs."""
        try:
            if kind.endswith("model"):
                return self._model(kind, place / "model", random)
            if kind in _PICTURES:
                return self._pictures(self.folder / _PICTURES[kind], place, random)
            return self._table(self.folder / _TABLES[kind], place, random)
        except InputError as error:
            if "\n" in str(error):
                raise AssertionError("more than one line") from error
            return "refused"

    def _model(self, kind: str, place: Path, random: np.random.Generator) -> str:
        source = self.folder / "model"
        if kind == "former model":
            former = sorted((self.folder / "former").iterdir())
            source = former[random.integers(len(former))]
        shutil.copytree(source, place)
        if kind == "altered model":
            path = place / "model.json"
            path.write_text(alter_structure(path.read_text(), random))
        else:
            files = sorted(path for path in place.rglob("*") if path.is_file())
            path = files[random.integers(len(files))]
            path.write_bytes(damage(path.read_bytes(), random))
        model = TabularModel.load(place)
        if kind == "former model":  # without checksums: what can be found is found, the rest are other numbers
            model.score(self._former_rows(source.name))
            return "other"
        scores = model.score(self.rows)
        model.p_value(self.rows)
        if kind == "altered model":
            model.explain(self.rows.head(2))
            return "forged"
        return "same" if np.array_equal(scores, self.scores[source]) else "differs"

    def _former_rows(self, name: str) -> object:
        if name == "people":
            return pd.read_parquet(GOLDEN / "people.parquet").head(20)
        columns = len(TabularModel.load(self.folder / "former" / name).encoder.labels)
        return np.random.RandomState(0).normal(size=(20, columns))

    def _table(self, source: Path, place: Path, random: np.random.Generator) -> str:
        path, out = place / source.name, place / "out.parquet"
        path.write_bytes(damage(source.read_bytes(), random))
        if random.integers(2):
            frame = read(path)
            return "same" if frame.equals(read(source)) else "other"
        score_file(self.model, path, out, id_column="id", reasons=1)
        made = place / "good.parquet"
        score_file(self.model, source, made, id_column="id", reasons=1)
        return "same" if pd.read_parquet(out).equals(pd.read_parquet(made)) else "other"

    def _pictures(self, source: Path, place: Path, random: np.random.Generator) -> str:
        path = place / "pictures" / source.name
        path.parent.mkdir()
        path.write_bytes(damage(source.read_bytes(), random))
        prepare_images(path.parent if source.suffix == ".png" else path, place / "out.npy", size=8, workers=1)
        return "other"
