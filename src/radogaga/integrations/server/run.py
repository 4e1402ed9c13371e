"""A service as one process or several that share a port."""

from __future__ import annotations

import ipaddress
import math
import os
import signal
import socket
import tempfile
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import replace
from functools import partial
from pathlib import Path

import uvicorn
from fastapi import FastAPI
from uvicorn.supervisors import Multiprocess

from radogaga.errors import InputError
from radogaga.integrations.server.app import make_app
from radogaga.integrations.server.protocol import PunctualProtocol
from radogaga.integrations.server.settings import Settings
from radogaga.tabular.model import TabularModel

_MIN_TOKEN = 16
_MAX_CONNECTIONS = 512


def run(
    settings: Settings, *, host: str, port: int, workers: int = 1, announce: Callable[[str], object] = print
) -> None:
    """Serve until a signal ends it; SIGHUP loads the model anew.

    Parameters
    ----------
    settings : Settings
        The model and limits.
    host, port : str, int
        Where to listen; beyond loopback only with a token. Port 0 takes any that is free.
    workers : int
        Processes.
    announce : callable
        Called with one line on where to ask.

    Raises
    ------
    InputError
        If the model cannot be loaded, the place cannot be listened at, or there is no token beyond loopback.
    """
    if settings.token is None and not _is_loopback(host):
        raise InputError(f"Expected a --token-file for --host {host}, which others can reach. Pass one, or 127.0.0.1.")
    if hasattr(signal, "SIGHUP"):
        signal.signal(signal.SIGHUP, signal.SIG_IGN)  # until the model is there
    with ExitStack() as stack:
        if workers > 1:  # before the metrics are imported, by each process
            os.environ["PROMETHEUS_MULTIPROC_DIR"] = stack.enter_context(tempfile.TemporaryDirectory())
        listening = stack.enter_context(_listen(host, port))
        config = _config(settings, workers)
        if workers > 1:
            TabularModel.load(settings.folder)  # so that what is wrong with it is said once
        else:
            config.load()
        announce(f"{settings.folder} at http://{_address(listening)}, described at /docs, measured at /metrics")
        if workers > 1:
            _Workers(config, [listening]).run()
        else:
            uvicorn.Server(config).run([listening])


def read_token(path: Path) -> str:
    """Return the token that a file holds.

    Raises
    ------
    InputError
        If there is no such file, or what it holds is no token: 16 letters, digits or signs at least, on one line.
    """
    try:
        token = path.read_text("ascii").strip()
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or "it is not ASCII"
        raise InputError(f"Expected a token in {path}; {reason}. Write one: openssl rand -hex 32.") from None
    if len(token) < _MIN_TOKEN or not token.isprintable() or " " in token:
        raise InputError(f"Expected a token of {_MIN_TOKEN} signs or more in {path}. Write one: openssl rand -hex 32.")
    return token


class _Workers(Multiprocess):
    """uvicorn's processes, which load the model anew themselves: to restart them would end their connections."""

    def handle_hup(self) -> None:
        for process in self.processes:
            if process.pid is not None:
                os.kill(process.pid, signal.SIGHUP)


def _config(settings: Settings, workers: int) -> uvicorn.Config:
    seconds = math.ceil(settings.timeout)
    return uvicorn.Config(
        partial(_make_app, replace(settings, threads=max((os.cpu_count() or 1) // workers, 1))),
        factory=True,
        workers=workers,
        http=PunctualProtocol,
        ws="none",
        timeout_keep_alive=seconds,
        timeout_graceful_shutdown=seconds,
        limit_concurrency=_MAX_CONNECTIONS,
        access_log=False,
        proxy_headers=False,
        server_header=False,
    )


def _make_app(settings: Settings) -> FastAPI:
    if hasattr(signal, "SIGHUP"):
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
    return make_app(settings)


def _listen(host: str, port: int) -> socket.socket:
    try:
        return socket.create_server((host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET)
    except (OSError, OverflowError) as error:
        reason = getattr(error, "strerror", None) or error
        raise InputError(f"Expected to listen at {host}, port {port}; {reason}. Pass another --port.") from None


def _address(listening: socket.socket) -> str:
    host, port = listening.getsockname()[:2]
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
