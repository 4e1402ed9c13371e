"""radogaga serve as a process of its own: the token, a model taken over without a dropped request, slow clients."""

import http.client
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from contextlib import ExitStack, closing, contextmanager, suppress
from pathlib import Path

import numpy as np
import pytest

from program_results import refused
from radogaga import RaDOGAGA

pytest.importorskip("fastapi", reason="FastAPI is not installed: pip install 'radogaga[serve]'")

TOKEN = "0123456789abcdef"
ROW = json.dumps([{"0": 0.5, "1": 0.5}])


def fit(seed: int) -> RaDOGAGA:
    return RaDOGAGA(max_steps=0, random_state=0).fit(np.random.RandomState(seed).normal(size=(200, 2)))


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    folder = tmp_path_factory.mktemp("fitted") / "model"
    fit(0).save(folder)
    return folder


@contextmanager
def running(*arguments: object):
    """Run the program until the context ends, and give its process and port."""
    command = [sys.executable, "-m", "radogaga", "serve", *map(str, arguments), "--port", "0"]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    try:
        for line in process.stderr:
            if found := re.search(r"http://\S+:(\d+)", line):
                port = int(found[1])
            if "startup complete" in line:
                break
        drain = threading.Thread(target=process.stderr.read, daemon=True)
        drain.start()
        yield process, port
    finally:
        process.terminate()
        process.wait(20)
        drain.join()
        process.stderr.close()


def wait_until(holds, seconds: float = 20) -> None:
    end = time.monotonic() + seconds
    while not holds() and time.monotonic() < end:
        time.sleep(0.05)


def connected(port: int):
    return closing(http.client.HTTPConnection("127.0.0.1", port, timeout=20))


def ask(connection: http.client.HTTPConnection, **headers: str):
    connection.request("POST", "/score", ROW, {"Content-Type": "application/json", **headers})
    response = connection.getresponse()
    return response.status, response.headers.get("X-Radogaga-Model"), response.read()


def test_beyond_loopback_there_has_to_be_a_token(program, model, tmp_path):
    assert refused(program("serve", model, "--host", "0.0.0.0"), "--token-file", "0.0.0.0")
    assert refused(program("serve", model, "--host", "example.org"), "--token-file")
    for content in ("", "short", "ümlaut-ümlaut-ümlaut", "two words of a token"):
        (tmp_path / "token").write_text(content)
        assert refused(program("serve", model, "--token-file", tmp_path / "token"), "openssl rand")
    assert refused(program("serve", model, "--token-file", tmp_path / "nothing"), "No such file")


def test_what_cannot_be_served_is_said_in_one_line(program, model, tmp_path):
    assert refused(program("serve", tmp_path / "nothing", "--port", 0), "nothing")
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        assert refused(program("serve", model, "--port", port), "Address already in use", "--port")


@pytest.mark.skipif(not hasattr(signal, "SIGHUP"), reason="SIGHUP is Unix'")
@pytest.mark.parametrize("workers", [1, pytest.param(2, marks=pytest.mark.slow)])
def test_a_new_model_is_taken_over_without_a_dropped_request(model, tmp_path, workers):
    folder = shutil.copytree(model, tmp_path / "model")
    with running(folder, "--workers", workers) as (process, port):
        stop, seen, failed = threading.Event(), [], []

        def ask_on_and_on() -> None:
            with connected(port) as connection:
                while not stop.is_set():
                    try:
                        status, name, _ = ask(connection)
                    except (OSError, http.client.HTTPException) as error:
                        failed.append(error)
                        return
                    seen.append(name)
                    if status != 200:
                        failed.append(status)

        threads = [threading.Thread(target=ask_on_and_on) for _ in range(4)]
        for thread in threads:
            thread.start()
        for seed in (1, 2):
            wait_until(lambda seed=seed: len(set(seen)) == seed)
            fit(seed).save(folder)
            process.send_signal(signal.SIGHUP)
        wait_until(lambda: len(set(seen)) == 3)
        stop.set()
        for thread in threads:
            thread.join()
        assert failed == []
        assert len(set(seen)) == 3
        assert process.poll() is None


def test_slow_clients_are_ended_and_hold_nobody_up(model):
    begun = b"POST /score HTTP/1.1\r\nHost: localhost\r\nContent-"
    with running(model, "--timeout", 1) as (_, port), ExitStack() as stack:
        places = [("127.0.0.1", port)] * 3
        idle, head, body = (stack.enter_context(socket.create_connection(place, timeout=10)) for place in places)
        head.sendall(begun)
        body.sendall(begun + b"Type: text/csv\r\nContent-Length: 99\r\n\r\na")
        with connected(port) as connection:
            assert ask(connection)[0] == 200
        assert body.recv(100).startswith(b"HTTP/1.1 408")
        for waiting in (idle, head):
            with suppress(ConnectionResetError):
                assert waiting.recv(100) == b""


def test_it_ends_when_it_is_told(model, tmp_path):
    token = tmp_path / "token"
    token.write_text(f"{TOKEN}\n")
    with running(model, "--token-file", token, "--host", "0.0.0.0") as (process, port):
        with connected(port) as connection:
            assert ask(connection)[0] == 401
            assert ask(connection, Authorization=f"Bearer {TOKEN}")[0] == 200
        start = time.monotonic()
        os.kill(process.pid, signal.SIGTERM)
        process.wait(20)
        assert time.monotonic() - start < 10


@pytest.mark.slow
def test_nothing_that_is_sent_is_answered_by_an_error_of_ours(model):
    pytest.importorskip("schemathesis", reason="schemathesis is not installed: pip install schemathesis")
    with running(model) as (_, port):
        command = [Path(sys.executable).with_name("schemathesis"), "run", f"http://127.0.0.1:{port}/openapi.json"]
        options = ["--max-examples", "50", "--seed", "1", "--checks", "not_a_server_error,content_type_conformance"]
        done = subprocess.run([*command, *options], capture_output=True, text=True, timeout=500)
    assert done.returncode == 0, done.stdout[-3000:]
