"""The service beside an endpoint that does nothing, and beside scoring in process: ratios of one run, interleaved.

    python benchmarks/serve.py --out serve.json [--seconds 5] [--rounds 5] [--connections 64]

A model of ten columns. Single rows: each connection sends its next request when the last is answered, to /score and to
an empty FastAPI endpoint behind the same server, the same bodies to both. Batches: 10,000 rows in Arrow over two
connections, beside `TabularModel.score` of the same rows in this process: with torch's own threads, which take many
times as long where other processes want the cores, and with one thread for each core, as the service has. A ratio is
the service's rate as a share of that row's. Needs pip install 'radogaga[serve]'.
"""

from __future__ import annotations

import argparse
import asyncio
import datetime
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import torch
import uvloop
from fastapi import FastAPI
from pyarrow import ipc

from radogaga import RaDOGAGA, TabularModel
from radogaga.version import __version__

ROWS = 10_000


def request(port: int, body: bytes, content_type: str) -> bytes:
    head = f"POST /score HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nContent-Type: {content_type}\r\n"
    return f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body


class Client(asyncio.Protocol):
    """One connection: sends its request again and again until a time, and keeps how long each answer took."""

    def __init__(self, message: bytes, end: float, done: asyncio.Future[None]) -> None:
        self.message, self.end, self.done = message, end, done
        self.seconds: list[float] = []
        self.left, self.head = 0, b""

    def connection_made(self, transport: Any) -> None:  # noqa: D102
        self.transport = transport
        self.send()

    def send(self) -> None:
        """Send the request again."""
        self.start = time.perf_counter()
        self.transport.write(self.message)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: D102
        if not self.done.done():
            self.done.set_exception(exc or ConnectionError(f"The connection ended after {self.head[:200]!r}"))

    def data_received(self, data: bytes) -> None:  # noqa: D102
        if not self.left:
            self.head += data
            head, found, body = self.head.partition(b"\r\n\r\n")
            if not found:
                return
            if not head.startswith(b"HTTP/1.1 200"):
                self.done.set_exception(ConnectionError(f"Expected status 200; got {head!r} {body!r}"))
                self.transport.abort()
                return
            lower = head.lower()
            place = lower.index(b"content-length:") + 15
            self.left, data, self.head = int(lower[place:].partition(b"\r\n")[0]), body, b""
        self.left -= len(data)
        if not self.left:
            now = time.perf_counter()
            self.seconds.append(now - self.start)
            if now < self.end:
                self.send()
            else:
                self.transport.close()
                self.done.set_result(None)


async def load(port: int, message: bytes, connections: int, seconds: float) -> tuple[float, list[float]]:
    """Return answers a second, and how long each took."""
    loop, start = asyncio.get_running_loop(), time.perf_counter()
    clients = [Client(message, start + seconds, loop.create_future()) for _ in range(connections)]
    for client in clients:
        await loop.create_connection(lambda client=client: client, "127.0.0.1", port)  # type: ignore[misc]
    await asyncio.gather(*(client.done for client in clients))
    taken = [one for client in clients for one in client.seconds]
    return len(taken) / (time.perf_counter() - start), taken


@contextmanager
def started(command: list[str], port: int) -> Iterator[None]:
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    try:
        for _ in range(600):
            try:
                asyncio.run(load(port, f"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n\r\n".encode(), 1, 0))
                break
            except OSError:
                time.sleep(0.1)
        yield
    finally:
        process.terminate()
        process.wait()


def serve_nothing(port: int) -> None:
    """Run the empty endpoint, behind the same server with the same settings."""
    import uvicorn

    from radogaga.integrations.server.protocol import PunctualProtocol

    app = FastAPI()

    @app.post("/score")
    @app.get("/healthz")
    async def nothing() -> dict[str, str]:
        return {}

    options: dict[str, Any] = {"ws": "none", "access_log": False, "proxy_headers": False, "server_header": False}
    uvicorn.run(app, port=port, http=PunctualProtocol, log_level="warning", **options)


def single_rows(body: bytes, ports: dict[str, int], args: argparse.Namespace) -> list[dict[str, Any]]:
    found: dict[str, list[tuple[float, list[float]]]] = {name: [] for name in ports}
    for turn in range(args.rounds + 1):
        for name, port in ports.items():
            message = request(port, body, "application/json")
            result = uvloop.run(load(port, message, args.connections, args.seconds if turn else 1))
            if turn:  # the first is to warm up
                found[name].append(result)
    rows = []
    for name, results in found.items():
        taken = np.concatenate([seconds for _, seconds in results])
        rows.append(
            {
                "measured": f"single rows, {name}",
                "requests_per_second": round(float(np.median([rate for rate, _ in results]))),
                "p50_ms": round(1e3 * float(np.quantile(taken, 0.5)), 2),
                "p99_ms": round(1e3 * float(np.quantile(taken, 0.99)), 2),
            }
        )
    ratios = [service[0] / empty[0] for service, empty in zip(*found.values(), strict=True)]
    rows[1] |= {
        "ratio": round(float(np.median(ratios)), 2),
        "p99_ratio": round(rows[0]["p99_ms"] / rows[1]["p99_ms"], 2),
    }
    return rows


def batches(model: TabularModel, frame: pd.DataFrame, port: int, args: argparse.Namespace) -> list[dict[str, Any]]:
    sink = pa.BufferOutputStream()
    table = pa.Table.from_pandas(frame, preserve_index=False)
    with ipc.new_file(sink, table.schema) as writer:
        writer.write_table(table)
    message = request(port, sink.getvalue().to_pybytes(), "application/vnd.apache.arrow.file")
    served, own = [], {None: [], -1: []}
    for turn in range(args.rounds + 1):
        rate, _ = uvloop.run(load(port, message, 2, args.seconds if turn else 1))
        rates = {n_jobs: scored_in_process(model, frame, n_jobs, args.seconds if turn else 1) for n_jobs in own}
        if turn:
            served.append(rate * len(frame))
            for n_jobs, one in rates.items():
                own[n_jobs].append(one)
    rows: list[dict[str, Any]] = [
        {"measured": "batches, the service", "rows_per_second": round(float(np.median(served)))},
    ]
    for n_jobs, name in ((None, "batches, score(X) in process"), (-1, "batches, score(X, n_jobs=-1) in process")):
        ratio = round(float(np.median(np.divide(served, own[n_jobs]))), 2)
        rows.append({"measured": name, "rows_per_second": round(float(np.median(own[n_jobs]))), "ratio": ratio})
    return rows


def scored_in_process(model: TabularModel, frame: pd.DataFrame, n_jobs: int | None, seconds: float) -> float:
    start, scored = time.perf_counter(), 0
    while time.perf_counter() < start + seconds:
        model.score(frame, n_jobs=n_jobs)
        scored += len(frame)
    return scored / (time.perf_counter() - start)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path)
    parser.add_argument("--seconds", type=float, default=5)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--connections", type=int, default=64)
    parser.add_argument("--port", type=int, default=8021)
    parser.add_argument("--nothing", action="store_true", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.nothing:
        serve_nothing(args.port)
        return
    random = np.random.RandomState(0)
    mixing = random.normal(size=(10, 10))
    train, new = (pd.DataFrame(random.normal(size=(n, 10)) @ mixing).rename(columns="c{}".format) for n in (5000, ROWS))
    ports = {"the service": args.port, "an empty endpoint": args.port + 1}
    with tempfile.TemporaryDirectory() as folder:
        model = RaDOGAGA(random_state=0).fit(train).model_
        model.save(Path(folder) / "model")
        service = [
            str(Path(sys.executable).with_name("radogaga")),
            "serve",
            f"{folder}/model",
            "--port",
            str(args.port),
        ]
        empty = [sys.executable, __file__, "--nothing", "--port", str(args.port + 1)]
        with started(service, args.port), started(empty, args.port + 1):
            body = new.head(1).to_json(orient="records", double_precision=15).encode()
            rows = [*single_rows(body, ports, args), *batches(model, new, args.port, args)]
    result = {
        "about": f"A model of ten columns served to {args.connections} connections; medians of {args.rounds} rounds.",
        "command": "python benchmarks/serve.py --out results/serve.json",
        "date": datetime.datetime.now(tz=datetime.UTC).date().isoformat(),
        "versions": {"radogaga": __version__, "torch": torch.__version__, "python": platform.python_version()},
        "machine": f"{os.cpu_count()} cores, {platform.machine()}, shared by client and service",
        "rows": rows,
    }
    for row in rows:
        print(row)
    if args.out is not None:
        args.out.write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
