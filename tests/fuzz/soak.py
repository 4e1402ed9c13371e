"""Minutes of good and bad requests, broken connections and slow readers, on a service of its own: memory stays flat.

    python tests/fuzz/soak.py --minutes 10 --out soak.json

No answer has a status of 500 or more, good requests are answered throughout as at the start, and the memory that the
service holds in the last fifth of the time is within 5 % of that in the second fifth.
"""

import argparse
import http.client
import json
import random
import socket
import subprocess
import sys
import tempfile
import threading
import time
import warnings
from collections import Counter
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1]))  # run as a script, too

from fuzz.bodies import good_bodies
from fuzz.mutations import damage
from mixed_table import mixed
from radogaga import RaDOGAGA

JSON = "application/json"
PAUSE = 0.005  # or broken connections alone would take all the time


class Load:
    """Threads that ask in different ways, and what came of it."""

    def __init__(self, port: int, end: float) -> None:
        self.port, self.end, self.counts, self.faults = port, end, Counter(), []
        self.bodies = good_bodies()
        self.wanted = self.ask(self.bodies[JSON], JSON)[1]

    def ask(self, body: bytes, media_type: str, path: str = "/score") -> tuple[int, bytes]:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        try:
            connection.request("POST", path, body, {"Content-Type": media_type})
            response = connection.getresponse()
            return response.status, response.read()
        finally:
            connection.close()

    def good(self, turn: random.Random) -> None:
        if self.ask(self.bodies[JSON], JSON) != (200, self.wanted):
            self.faults.append("a good request was answered otherwise")

    def files(self, turn: random.Random) -> None:
        media_type = turn.choice(list(self.bodies))
        path = turn.choice(["/score", "/score?reasons=2", "/explain", "/embed"])
        self.check(self.ask(self.bodies[media_type], media_type, path)[0], 200)

    def bad(self, turn: random.Random) -> None:
        media_type = turn.choice(list(self.bodies))
        body = damage(self.bodies[media_type], np.random.default_rng(turn.getrandbits(32)))
        self.check(self.ask(body, media_type)[0], 499)

    def broken(self, turn: random.Random) -> None:
        head = b"POST /score HTTP/1.1\r\nHost: localhost\r\nContent-Type: text/csv\r\nContent-Length: 4000\r\n\r\n"
        with socket.create_connection(("127.0.0.1", self.port), timeout=60) as connection:
            connection.sendall((head + turn.randbytes(4000))[: turn.randrange(1, 4080)])

    def slow(self, turn: random.Random) -> None:
        body = mixed(5000, 1).to_csv(index=False).encode()
        head = (
            f"POST /score HTTP/1.1\r\nHost: localhost\r\nContent-Type: text/csv\r\nContent-Length: {len(body)}\r\n\r\n"
        )
        with socket.create_connection(("127.0.0.1", self.port), timeout=60) as connection:
            connection.sendall(head.encode() + body)
            for _ in range(20):
                connection.recv(50)
                time.sleep(0.05)

    def check(self, status: int, most: int) -> None:
        self.counts[str(status)] += 1
        if status > most:
            self.faults.append(f"status {status}")

    def run(self, kind: str) -> None:
        turn = random.Random(kind)
        while time.monotonic() < self.end:
            try:
                getattr(self, kind)(turn)
                self.counts[kind] += 1
                time.sleep(PAUSE)
            except (OSError, http.client.HTTPException) as error:
                self.faults.append(f"{kind}: {error!r}")


def memory(process: int) -> int:
    """Return what a process holds, in kilobytes."""
    status = dict(line.split(":", 1) for line in Path(f"/proc/{process}/status").read_text().splitlines())
    return int(status["VmRSS"].split()[0])


def soak(minutes: float, folder: Path) -> dict[str, object]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        RaDOGAGA(max_steps=5, random_state=0).fit(mixed(1000)).save(folder / "model")
    command = [sys.executable, "-m", "radogaga", "serve", str(folder / "model"), "--port", "0", "--timeout", "10"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        port = 0
        for line in process.stderr:
            if line.startswith("serving"):
                port = int(line.partition("127.0.0.1:")[2].partition(",")[0])
            if "startup complete" in line:
                break
        threading.Thread(target=process.stderr.read, daemon=True).start()
        load = Load(port, time.monotonic() + 60 * minutes)
        threads = [
            threading.Thread(target=load.run, args=(kind,))
            for kind in ("good", "good", "files", "bad", "broken", "slow")
        ]
        for thread in threads:
            thread.start()
        held = []
        while time.monotonic() < load.end:
            time.sleep(min(2.0, 60 * minutes / 20))
            held.append(memory(process.pid))
        for thread in threads:
            thread.join()
        alive = process.poll() is None
        process.terminate()
    fifth = len(held) // 5
    early, late = np.median(held[fifth : 2 * fifth]), np.median(held[-fifth:])
    return {
        "minutes": minutes,
        "faults": load.faults[:20],
        "counts": dict(load.counts),
        "alive": alive,
        "megabytes": [round(float(part) / 1024, 1) for part in (early, late)],
        "growth": round(float(late / early) - 1, 4),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--out", type=Path)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        report = soak(args.minutes, Path(folder))
    print(json.dumps(report, indent=1))
    if args.out is not None:
        args.out.write_text(json.dumps(report, indent=1) + "\n")
    sys.exit(bool(report["faults"]) or not report["alive"])


if __name__ == "__main__":
    main()
