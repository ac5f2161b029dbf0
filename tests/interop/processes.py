"""Child processes that end with the round, whatever happens to it. Linux ends them even when the round is killed."""

import atexit
import ctypes
import os
import pathlib
import queue
import re
import signal
import subprocess
import sys
import tempfile
import threading
import time

URL = re.compile(r"http://(?:127\.0\.0\.1|localhost|\[::1\]):(\d+)[^\s\"']*")
_libc = ctypes.CDLL(None) if sys.platform == "linux" else None
_running: list["Process"] = []


def _die_with_parent():
    if _libc is not None:
        _libc.prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG


class Process:
    """A child in a process group of its own, with what it says in a file."""

    def __init__(self, name: str, command: list, env: dict | None = None):
        self.name = name
        self.log = pathlib.Path(tempfile.mkstemp(prefix=f"interop-{name}-", suffix=".log")[1])
        self.lines: queue.Queue = queue.Queue()
        self.process = subprocess.Popen(
            [str(part) for part in command],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=open(self.log, "ab"),
            env={**os.environ, **(env or {})},
            start_new_session=True,
            preexec_fn=_die_with_parent,
        )
        _running.append(self)
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self):
        with open(self.log, "ab", buffering=0) as log:
            for line in self.process.stdout:
                log.write(line)
                self.lines.put(line.decode(errors="replace"))
        self.lines.put(None)

    def line(self, pattern: re.Pattern, seconds: float) -> re.Match:
        """The first line of standard output that the pattern is found in."""
        deadline = time.monotonic() + seconds
        while True:
            try:
                line = self.lines.get(timeout=max(0.0, deadline - time.monotonic()))
            except queue.Empty:
                raise RuntimeError(f"{self.name} did not say where it listens within {seconds} s\n{self.tail()}") from None
            if line is None:
                raise RuntimeError(f"{self.name} ended with {self.process.wait()}\n{self.tail()}")
            if found := pattern.search(line):
                return found

    def url(self, seconds=30.0) -> str:
        return self.line(URL, seconds).group(0)

    def tail(self, characters=3000) -> str:
        return self.log.read_text(errors="replace")[-characters:]

    def signal(self, number) -> None:
        try:
            os.killpg(self.process.pid, number)
        except ProcessLookupError:
            pass

    def stop(self, seconds=5.0) -> None:
        """Asks the child itself to end, waits, and then ends whatever is left of its group."""
        if self in _running:
            _running.remove(self)
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(seconds)
            except subprocess.TimeoutExpired:
                pass
        self.signal(signal.SIGKILL)
        self.process.wait()
        self.log.unlink(missing_ok=True)


def stop_all() -> None:
    for process in list(_running):
        process.stop(2.0)


def _on_signal(number, frame):
    raise SystemExit(128 + number)


def end_with_us() -> None:
    """Ends every child when this program ends, also when it is told to."""
    atexit.register(stop_all)
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, _on_signal)


def run(name: str, command: list, seconds: float, env: dict | None = None) -> tuple[int, str, str]:
    """Runs a child to its end, or ends it: exit code, standard output, standard error."""
    process = Process(name, command, env)
    process.process.stdin.close()
    output, deadline = [], time.monotonic() + seconds
    try:
        while True:
            try:
                line = process.lines.get(timeout=max(0.0, deadline - time.monotonic()))
            except queue.Empty:
                return 124, "".join(output), f"ended after {seconds} s"
            if line is None:
                return process.process.wait(), "".join(output), process.tail()
            output.append(line)
    finally:
        process.stop(1.0)


def carrying(mark: str) -> list[int]:
    """The ids of the processes whose environment carries a mark (Linux only; elsewhere none)."""
    found = []
    for entry in pathlib.Path("/proc").glob("[0-9]*/environ"):
        try:
            if mark.encode() in entry.read_bytes():
                found.append(int(entry.parent.name))
        except OSError:
            continue
    return found
