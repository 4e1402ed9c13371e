import errno
import hashlib
import os
import socket
import threading
from collections.abc import Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pooch
import pytest

from public_data import public_file
from radogaga import InputError
from radogaga.datasets.fetch import FILES, fetch, find, locate

CONTENT = bytes(range(256)) * 800
PATH = "toy/toy.csv"

Answer = tuple[int, dict[str, str], bytes]


def whole(content: bytes = CONTENT, **headers: str) -> Answer:
    return 200, {"Content-Length": str(len(content)), **headers}, content


GOOD = whole()
OTHER = whole(b"<html>Please log in to this network</html>")
TRUNCATED = 200, {"Content-Length": str(len(CONTENT))}, CONTENT[:5000]
TRUNCATED_UNSEEN = 200, {}, CONTENT[:5000]
GONE = 404, {"Content-Length": "0"}, b""
BROKEN = 503, {"Content-Length": "0"}, b""


class Server:
    """A server of `answers` by path, that remembers what was `asked` for."""

    def __init__(self) -> None:
        self.answers: dict[str, Answer] = {}
        self.asked: list[str] = []
        self.stalled = threading.Event()
        server = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                server.asked.append(self.path)
                if self.path == "/stall":
                    server.stalled.wait(10)
                    return
                status, headers, content = server.answers[self.path]
                self.send_response(status)
                for header, value in headers.items():
                    self.send_header(header, value)
                self.end_headers()
                self.wfile.write(content)

            def log_message(self, *_: object) -> None:
                pass

        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.thread = threading.Thread(target=self.http.serve_forever, kwargs={"poll_interval": 0.01})
        self.thread.start()

    def url(self, path: str) -> str:
        return f"http://127.0.0.1:{self.http.server_port}{path}"

    def urls(self, *answers: Answer) -> list[str]:
        paths = [f"/{i}" for i in range(len(answers))]
        self.answers |= dict(zip(paths, answers, strict=True))
        return [self.url(path) for path in paths]

    def stop(self) -> None:
        self.stalled.set()
        self.http.shutdown()
        self.thread.join()
        self.http.server_close()


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    server = Server()
    yield server
    server.stop()


@pytest.fixture(autouse=True)
def here(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A small file for the toy data, an empty cache, no data folder."""
    small = replace(FILES["toy"], sha256=hashlib.sha256(CONTENT).hexdigest(), size=len(CONTENT), urls=())
    monkeypatch.setitem(FILES, "toy", small)
    monkeypatch.setattr(pooch, "os_cache", lambda project: tmp_path / "cache" / project)
    monkeypatch.delenv("RADOGAGA_DATA", raising=False)


@pytest.fixture
def mirrored(monkeypatch: pytest.MonkeyPatch, server: Server) -> Server:
    """A server that is the toy data's own."""
    monkeypatch.setitem(FILES, "toy", replace(FILES["toy"], urls=tuple(server.urls(GOOD))))
    return server


def files(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


def placed(folder: Path, content: bytes = CONTENT) -> Path:
    path = folder / PATH
    path.parent.mkdir(parents=True)
    path.write_bytes(content)
    return path


# Fetching


def test_a_good_file_is_fetched(server: Server, tmp_path: Path) -> None:
    path = fetch("toy", folder=tmp_path, urls=server.urls(GOOD))
    assert path == tmp_path / PATH
    assert path.read_bytes() == CONTENT
    assert files(tmp_path) == [PATH]
    assert path.stat().st_mode & 0o044, "others cannot read it"


def test_nothing_is_printed(server: Server, tmp_path: Path, capfd) -> None:
    fetch("toy", folder=tmp_path, urls=server.urls(GOOD))
    assert capfd.readouterr() == ("", "")
    assert pooch.get_logger().level == 0, "the user's logger is changed"


def test_progress_is_reported_in_bytes(server: Server, tmp_path: Path) -> None:
    told: list[tuple[int, int]] = []
    fetch("toy", folder=tmp_path, urls=server.urls(GOOD), progress=lambda *step: told.append(step))
    assert told == sorted(told)
    assert len(told) > 2
    assert told[-1] == (len(CONTENT), len(CONTENT))


def test_servers_are_asked_in_order_until_one_is_good(server: Server, tmp_path: Path) -> None:
    path = fetch("toy", folder=tmp_path, urls=server.urls(OTHER, TRUNCATED, GONE, GOOD, BROKEN))
    assert path.read_bytes() == CONTENT
    assert server.asked == ["/0", "/1", "/2", "/3"]
    assert files(tmp_path) == [PATH]


def test_known_servers_are_asked_by_default(mirrored: Server, tmp_path: Path) -> None:
    assert fetch("toy", folder=tmp_path).read_bytes() == CONTENT
    assert mirrored.asked == ["/0"]


def test_a_server_may_send_on_to_another(server: Server, tmp_path: Path) -> None:
    moved = 302, {"Location": "/1", "Content-Length": "0"}, b""
    urls = server.urls(moved, GOOD)
    assert fetch("toy", folder=tmp_path, urls=urls[:1]).read_bytes() == CONTENT


def test_a_gzip_is_kept_where_the_server_calls_it_an_encoding(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import gzip

    content = gzip.compress(CONTENT, mtime=0)
    monkeypatch.setitem(FILES, "toy", replace(FILES["toy"], sha256=hashlib.sha256(content).hexdigest()))
    urls = server.urls(whole(content, **{"Content-Encoding": "x-gzip"}))
    assert fetch("toy", folder=tmp_path, urls=urls).read_bytes() == content


FAILURES = {
    "truncated": (TRUNCATED, "the download broke off"),
    "truncated without a length": (TRUNCATED_UNSEEN, "not the expected one"),
    "another file": (OTHER, "not the expected one"),
    "an empty file": (whole(b""), "not the expected one"),
    "not found": (GONE, "status 404"),
    "out of order": (BROKEN, "status 503"),
}


@pytest.mark.parametrize("before", [None, b"damaged"], ids=["nothing there", "a damaged file there"])
@pytest.mark.parametrize(("answer", "reason"), FAILURES.values(), ids=FAILURES)
def test_a_failed_download_leaves_the_place_as_it_was(
    server: Server, tmp_path: Path, answer: Answer, reason: str, before: bytes | None
) -> None:
    if before is not None:
        placed(tmp_path, before)
    with pytest.raises(InputError, match=f"none .127.0.0.1: .*{reason}"):
        fetch("toy", folder=tmp_path, urls=server.urls(answer))
    assert files(tmp_path) == ([] if before is None else [PATH])
    assert before is None or (tmp_path / PATH).read_bytes() == before


def test_every_failure_is_listed(server: Server, tmp_path: Path) -> None:
    reasons = "3 servers.*127.0.0.1: status 404; 127.0.0.1: .*checksum.*; 127.0.0.1: status 503"
    with pytest.raises(InputError, match=reasons):
        fetch("toy", folder=tmp_path, urls=server.urls(GONE, OTHER, BROKEN))


def test_a_server_that_is_not_there_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        with pytest.raises(InputError, match="cannot be reached"):
            fetch("toy", folder=tmp_path, urls=[f"http://127.0.0.1:{unused.getsockname()[1]}/"])
    assert files(tmp_path) == []


def test_a_server_that_does_not_answer_is_given_up(server: Server, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no answer in time"):
        fetch("toy", folder=tmp_path, urls=[server.url("/stall")], timeout=0.2)


@pytest.mark.parametrize("url", ["toy.csv", "ftp://127.0.0.1/toy.csv", "http://", ""])
def test_an_address_that_is_none_is_told(tmp_path: Path, url: str) -> None:
    with pytest.raises(InputError, match="got it from none"):
        fetch("toy", folder=tmp_path, urls=[url])


class FullDisk:
    """A file that takes one piece and no more."""

    def __init__(self, *arguments: str) -> None:
        self.file, self.pieces = Path(arguments[0]).open("wb"), 0  # noqa: SIM115

    def write(self, piece: bytes) -> None:
        self.pieces += 1
        if self.pieces > 1:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        self.file.write(piece)

    def flush(self) -> None:
        self.file.flush()

    def close(self) -> None:
        self.file.close()


@pytest.mark.parametrize("before", [None, b"damaged"], ids=["nothing there", "a damaged file there"])
def test_a_full_disk_is_told_at_once(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, before: bytes | None
) -> None:
    if before is not None:
        placed(tmp_path, before)
    monkeypatch.setattr("pooch.downloaders.open", FullDisk, raising=False)
    with pytest.raises(InputError, match=r"write .*toy\.csv.*No space left"):
        fetch("toy", folder=tmp_path, urls=server.urls(GOOD, GOOD))
    assert server.asked == ["/0"], "another server cannot help"
    assert files(tmp_path) == ([] if before is None else [PATH])
    assert before is None or (tmp_path / PATH).read_bytes() == before


def test_a_folder_that_cannot_be_made_is_told(server: Server, tmp_path: Path) -> None:
    (tmp_path / "toy").write_text("a file in the way")
    with pytest.raises(InputError, match=r"Expected .*toy\.csv"):
        fetch("toy", folder=tmp_path, urls=server.urls(GOOD))
    (tmp_path / "toy").unlink()
    (tmp_path / PATH).mkdir(parents=True)
    with pytest.raises(InputError, match=r"Expected .*toy\.csv"):
        fetch("toy", folder=tmp_path, urls=server.urls(GOOD))


def test_a_good_file_is_kept(mirrored: Server, tmp_path: Path) -> None:
    before = placed(tmp_path).stat()
    after = fetch("toy", folder=tmp_path).stat()
    assert (after.st_ino, after.st_mtime_ns, after.st_mode) == (before.st_ino, before.st_mtime_ns, before.st_mode)
    assert mirrored.asked == []


def test_a_damaged_file_is_replaced(mirrored: Server, tmp_path: Path) -> None:
    placed(tmp_path, CONTENT[:-1])
    assert fetch("toy", folder=tmp_path).read_bytes() == CONTENT


# Locating


def test_the_cache_is_filled_once(mirrored: Server, tmp_path: Path) -> None:
    assert find("toy") is None
    path = locate("toy")
    assert path == locate("toy") == find("toy") == tmp_path / "cache" / "radogaga" / PATH
    assert mirrored.asked == ["/0"]


def test_a_damaged_file_in_the_cache_is_fetched_again(mirrored: Server, tmp_path: Path) -> None:
    placed(tmp_path / "cache" / "radogaga", b"damaged")
    assert find("toy") is None
    assert locate("toy").read_bytes() == CONTENT


def test_the_named_folder_is_taken_as_it_is(mirrored: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = placed(tmp_path, b"1,2,3\n")
    monkeypatch.setenv("RADOGAGA_DATA", str(tmp_path))
    assert locate("toy") == find("toy") == path
    assert mirrored.asked == []


def test_a_file_missing_in_the_named_folder_is_told(
    mirrored: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RADOGAGA_DATA", str(tmp_path))
    assert find("toy") is None
    with pytest.raises(
        InputError, match=r"toy/toy\.csv in the folder RADOGAGA_DATA.*not there.*radogaga data fetch toy"
    ):
        locate("toy")
    assert mirrored.asked == []
    assert fetch("toy") == locate("toy") == tmp_path / PATH


@pytest.mark.parametrize("ask", [locate, find, fetch])
def test_an_unknown_name_is_refused(ask) -> None:
    with pytest.raises(InputError, match="toy, thyroid, arrhythmia, kddcup; got 'mnist'"):
        ask("mnist")


@pytest.mark.parametrize("name", ["thyroid", "arrhythmia", "kddcup"])
def test_checksums_are_those_of_the_files(name: str) -> None:
    file = FILES[name]
    path = public_file(file.path)
    assert path.stat().st_size == file.size
    assert hashlib.sha256(path.read_bytes()).hexdigest() == file.sha256
