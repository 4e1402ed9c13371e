"""A seeded attack on a service's bodies: damaged ones of each format, among good ones, whose answers must not change.

    python tests/fuzz/bodies.py --cases 100000 --seed 0

Whatever comes, each answer is a refusal by one line or a table, none has a status of 500, and what was asked beside it
is answered as it is alone. A case that ends the process ends the attack: it is known by the number printed last.
"""

import argparse
import json
import sys
import tempfile
import time
import warnings
from collections import Counter
from pathlib import Path

import numpy as np
import pyarrow as pa
from pyarrow import ipc, parquet

sys.path.insert(0, str(Path(__file__).parents[1]))  # run as a script, too

from fuzz.mutations import damage
from mixed_table import mixed
from radogaga import RaDOGAGA
from radogaga.integrations.server.formats import ARROW_FILE, ARROW_STREAM, CSV, JSON, PARQUET
from radogaga.integrations.server.jobs import Job
from radogaga.integrations.server.metrics import Metrics
from radogaga.integrations.server.model_holder import ModelHolder
from radogaga.integrations.server.request_error import RequestError
from radogaga.integrations.server.scoring import Scorer
from radogaga.integrations.server.settings import Settings

TASKS = ("score", "score", "score", "explain", "embed")
JOBS_AT_ONCE = 8
STRANGE = [
    *(None, True, False, 0, -1, 2**53 + 1, 2**64, 10**400, 1e308, -1e308, 5e-324, float("nan"), float("inf"), 1.5),
    *("", "NA", "?", "0", "1e5", "Rome", "\0", "\ud83d\ude00" * 100, "x" * 10_000, "\u202e", "\n"),
    *("2024-01-01", "2024-01-01T00:00:00+14:00", "0000-00-00", "9999999-01-01", "1677-09-21"),
    *("now", "01/02/2024", "00:00:60", "P1D"),
    *([], {}, [[[[]]]], {"a": {"b": 1}}, [1, 2, 3]),
]


def good_bodies() -> dict[str, bytes]:
    """Return a body in each format."""
    frame = mixed(30, 1)
    table = pa.Table.from_pandas(frame, preserve_index=False)
    coded = pa.Table.from_pandas(frame.assign(city=frame["city"].astype("category")), preserve_index=False)
    bodies = {CSV: frame.to_csv(index=False).encode()}
    bodies[JSON] = frame.head(2).to_json(orient="records", date_format="iso").encode()
    for media_type, make in ((ARROW_FILE, ipc.new_file), (ARROW_STREAM, ipc.new_stream)):
        sink = pa.BufferOutputStream()
        with make(sink, coded.schema) as writer:
            writer.write_table(coded)
        bodies[media_type] = sink.getvalue().to_pybytes()
    sink = pa.BufferOutputStream()
    parquet.write_table(table, sink)
    return bodies | {PARQUET: sink.getvalue().to_pybytes()}


def attack(cases: int, seed: int, folder: Path, *, verbose: bool = False) -> Counter[str]:
    """Return how many bodies came to what: refused, answered, or a fault."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        RaDOGAGA(max_steps=5, random_state=0).fit(mixed(300)).save(folder / "model")
    scorer = Scorer(
        ModelHolder(folder / "model"), Metrics(), Settings(folder / "model", max_rows=1000, max_bytes=2**20)
    )
    bodies, random, counts = good_bodies(), np.random.default_rng(seed), Counter()
    good = Job("score", bodies[JSON], JSON, JSON)
    (alone,) = scorer([good])
    for first in range(0, cases, JOBS_AT_ONCE):
        if verbose and first % 10_000 == 0:
            print(first, dict(counts), flush=True)
        jobs = [_job(bodies, random) for _ in range(JOBS_AT_ONCE)]
        start = time.process_time()
        *answers, beside = scorer([*jobs, good])
        slow = time.process_time() - start > 30
        counts.update(_verdict(answer) for answer in answers)
        counts["fault: slow"] += slow
        counts["fault: another answer beside"] += beside != alone
    return +counts


def _job(bodies: dict[str, bytes], random: np.random.Generator) -> Job:
    media_type = str(random.choice(list(bodies)))
    body = bodies[media_type]
    altered = media_type == JSON and random.integers(2)
    body = _altered(json.loads(body), random) if altered else damage(body, random)
    task = str(random.choice(TASKS))
    return Job(task, body, media_type, JSON if task == "explain" or random.integers(2) else media_type)


def _altered(records: list[dict[str, object]], random: np.random.Generator) -> bytes:
    """Return records some of whose cells are gone or hold something else."""
    for _ in range(random.integers(1, 4)):
        record = records[random.integers(len(records))]
        name = str(random.choice(list(record))) if record else "age"
        if random.integers(4):
            record[name] = STRANGE[random.integers(len(STRANGE))]
        else:
            record.pop(name, None)
    return json.dumps(records).encode()


def _verdict(answer: object) -> str:
    if not isinstance(answer, RequestError):
        return "answered" if not isinstance(answer, Exception) else f"fault: {answer!r}"
    if answer.status >= 500 or "\n" in answer.detail:
        return f"fault: {answer.status} {answer.detail}"
    return f"refused with {answer.status}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cases", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        counts = attack(args.cases, args.seed, Path(folder), verbose=True)
    print(json.dumps(counts, indent=1))
    sys.exit(any(verdict.startswith("fault") for verdict in counts))


if __name__ == "__main__":
    main()
