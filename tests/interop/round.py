"""Real MCP clients against real MCP servers, through Rialto.

    round.py short [--rialto-bin PATH]    one client of each SDK line, one server of each era
    round.py full [--rialto-bin PATH]     every client, every server, and what people put between the two
    round.py short|full --direct          the same without Rialto, as far as eras and transports meet

It runs the cells (see `cells.py`) one after the other, then the conformance suite (see `conformance.py`), prints a
table, and ends with 1 when anything failed. `--clients`, `--servers`, `--fronts` and `--checks` (each a,b,c) narrow a
round; narrowed to clients, fronts or checks it leaves the suite out. `--report FILE` writes everything as JSON. Run
`setup.sh` first.
"""

import argparse
import json
import pathlib
import socket
import sys
import tempfile
import time

import conformance
import processes
from cells import (
    BUILT, CHAINS, CLIENTS, COMMON, COMMON_CLIENTS, CONFORMANCE, DIR, FRONTS, MARK, NODE, NUMBERS, PROCESSES, RMCP, ROOT,
    SERVERS, SETTINGS, SHORT, STDIO, UPSTREAM_NUMBER, bridge, client_environment, environment, never_asked, skips, starter,
)  # fmt: skip

CELL_SECONDS = 240


def start_server(name: str) -> tuple[processes.Process, str]:
    kind, command, *_ = SERVERS[name]
    if name != "everything-http":
        process = processes.Process(name, command)
        return process, process.url()
    # This server listens at a fixed port that it is given, and says so on standard error.
    port = free_port()
    process = processes.Process(name, command, {"PORT": str(port)})
    wait_for_port(process, port)
    return process, f"http://127.0.0.1:{port}/mcp"


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return listener.getsockname()[1]


def wait_for_port(process: processes.Process, port: int) -> None:
    deadline = time.monotonic() + 30
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
            return
        except OSError:
            if process.process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"{process.name} does not listen at port {port}\n{process.tail()}") from None
            time.sleep(0.05)


def start_rialto(binary: pathlib.Path, entries: dict, folder: str, name="rialto"):
    """Starts Rialto with these entries of `mcpServers`; gives it and the URL of each mount."""
    config = pathlib.Path(folder) / f"{name}.json"
    settings = {"servers": {entry: SETTINGS[entry] for entry in entries if entry in SETTINGS}}
    config.write_text(json.dumps({"mcpServers": entries, "rialto": settings}, indent=2))
    process = processes.Process(name, [binary, "serve", config, "--listen", "127.0.0.1:0"])
    base = f"http://127.0.0.1:{process.line(processes.URL, 30).group(1)}"
    return process, {mount: f"{base}/mcp/{mount}" for mount in entries}


def entry(name: str, urls: dict[str, str], folder: str) -> dict:
    """A server as Rialto's file names it."""
    kind, command, *_ = SERVERS[name]
    if kind == "http":
        return {"url": urls[name]}
    program, *args = map(str, command)
    return {"command": program, "args": args, "env": environment(name, folder), "cwd": str(ROOT)}


class Fronts:
    """What stands between clients and the mounts, started when it is first wanted."""

    def __init__(self, binary: pathlib.Path, urls: dict[str, str], entries: dict[str, dict], folder: str):
        self.binary, self.urls, self.entries, self.folder = binary, urls, entries, folder
        self.rialto, self.mounts = None, {}
        # Where it is noted how those ended that the last client started.
        self.notes = None

    def target(self, front: str, server: str) -> str:
        """What a client connects to in order to reach the server's mount this way."""
        self.notes = None
        if not front:
            return self.urls[server]
        if front == "rialto-stdio":
            command, self.notes = starter(self.binary, self.entries[server], server, self.folder)
            return command
        if front.startswith("mcp-remote"):
            return bridge(front, self.urls[server], self.folder)
        if front == "fastmcp-proxy":
            return processes.Process(front, [*FRONTS[front], self.urls[server]]).url()
        if self.rialto is None:
            entries = {name: {"url": url} for name, url in self.urls.items()}
            self.rialto, self.mounts = start_rialto(self.binary, entries, self.folder, "rialto-in-front")
        return self.mounts[server]


def ends(notes: pathlib.Path, count: int) -> dict:
    """Whether every process that a client started ended by itself, and well, when its client was done with it. There were
    so many of them."""
    lines = notes.read_text().split("\n")
    begun = [line.removeprefix("begun ") for line in lines if line.startswith("begun ")]
    ok = len(begun) == count and all(f"ended {process} 0" in lines for process in begun)
    return {"check": "processes", "ok": ok, "detail": "" if ok else f"not every process ended well: {lines}"}


def run_cell(client: str, server: str, target: str, era: str, args, front="") -> list[dict]:
    program, mode, _ = CLIENTS[client]
    left_out = skips(client, server, era, front, args.direct)
    command = [*program, target, "--mode", mode, "--profile", SERVERS[server][2], "--expect-era", era]
    if left_out:
        command += ["--skip", ",".join(sorted(left_out))]
    if args.checks:
        command += ["--only", args.checks]
    code, output, errors = processes.run(client, command, CELL_SECONDS, client_environment(server))
    results = [json.loads(line) for line in output.split("\n") if line.startswith("{")]
    for result in results:
        if result.get("skipped") and result["check"] in left_out:
            result["detail"] = left_out[result["check"]]
    if not results or (code != 0 and all(result["ok"] for result in results)):
        results.append({"check": "client", "ok": False, "detail": f"ended with {code}: {errors[-1500:]}"})
    return results


def counts(results: list[dict]) -> tuple[int, int, int]:
    failed = sum(not result["ok"] for result in results)
    skipped = sum(bool(result.get("skipped")) for result in results)
    return len(results) - failed - skipped, failed, skipped


def table(report: dict, clients: list[str], servers: list[str]) -> str:
    def cell(client, server):
        results = report.get(f"{client} × {server}")
        if results is None:
            return "–"
        passed, failed, skipped = counts(results)
        return f"{'FAIL ' + str(failed) + ', ' if failed else ''}{passed} ok" + (f", {skipped} skipped" if skipped else "")

    clients = [client for client in clients if any(f"{client} × {server}" in report for server in servers)]
    servers = [server for server in servers if any(f"{client} × {server}" in report for client in clients)]
    rows = [["", *servers]] + [[client, *(cell(client, server) for server in servers)] for client in clients]
    widths = [max(len(row[column]) for row in rows) for column in range(len(servers) + 1)]
    return "\n".join("  ".join(text.ljust(width) for text, width in zip(row, widths)).rstrip() for row in rows)


def run_conformance(urls: dict[str, str], report: dict, direct: bool) -> bool:
    all_ok = True
    for number, revision, server, held_against in CONFORMANCE:
        if server not in urls or (direct and server != held_against):
            continue
        name = conformance.run_name(revision, server)
        expected = conformance.direct_results(conformance.run_name(revision, held_against))
        results, said = conformance.run(urls[server], revision, server.removesuffix("-http"))
        if direct:
            faults = [] if results == expected else [f"the committed direct results differ: {conformance.text(results)}"]
        else:
            faults = conformance.compare(expected, results, conformance.exceptions_for(name))
        report[f"conformance {name}"] = {"number": number, "results": results, "faults": faults}
        tell_conformance(f"{number} conformance {name}".strip(), results, faults, said)
        all_ok = all_ok and not faults
    return all_ok


def run_upstream_conformance(binary: pathlib.Path, report: dict) -> bool:
    """The suite's client leg, with Rialto as the client."""
    expectations, all_ok = json.loads(conformance.UPSTREAM.read_text()), True
    for name, expected in expectations["runs"].items():
        results, said = conformance.run_upstream(binary, expected)
        faults = conformance.compare_upstream(expected, results, expectations["left_out"])
        report[f"conformance upstream {name}"] = {"number": UPSTREAM_NUMBER, "results": results, "faults": faults}
        tell_conformance(f"{UPSTREAM_NUMBER} conformance of the upstream half, {name}", results, faults, said)
        all_ok = all_ok and not faults
    return all_ok


def tell_conformance(name: str, results: dict, faults: list[str], said: dict) -> None:
    print(f"{name}: {conformance.summary(results)}: {'FAIL' if faults else 'as expected'}", flush=True)
    for fault in faults:
        print(f"  {fault}")
        for words in said.get(fault.split(":")[0], []):
            print(f"    {words}")


def children_ended(seconds=5.0) -> list[int]:
    """The server processes that outlive Rialto."""
    deadline = time.monotonic() + seconds
    while (left := processes.carrying("=".join(MARK))) and time.monotonic() < deadline:
        time.sleep(0.05)
    return left


def selected(args) -> tuple[list[str], list[str], list[tuple]]:
    """The clients, the servers, and the cells: number, client, front, server."""
    narrowed = [[name for name in names.split(",") if name] for names in (args.clients, args.servers, args.fronts)]
    clients, servers = SHORT if args.round == "short" else (list(CLIENTS), list(SERVERS))
    clients, servers = narrowed[0] or clients, narrowed[1] or servers
    cells = []
    if not narrowed[2]:
        for server in servers:
            for client in clients:
                if server not in COMMON or client in COMMON_CLIENTS or (narrowed[0] and narrowed[1]):
                    cells.append((NUMBERS.get(client, ""), client, "", server))
    for number, client, front, server in CHAINS if args.round == "full" else STDIO:
        if client in clients and server in servers and front in (narrowed[2] or FRONTS):
            cells.append((number, client, front, server))
    return clients, servers, cells


def possible_directly(client: str, front: str, server: str) -> str:
    """The era that a cell has without Rialto; empty when the two have none in common, or the front is Rialto."""
    _, mode, era = CLIENTS[client]
    if SERVERS[server][0] != "http" or front.startswith("rialto"):
        return ""
    if front == "mcp-remote-auto":
        return era
    if era in SERVERS[server][3]:
        return era
    return "legacy" if mode == "auto" else ""  # a client that tries the modern era first falls back


def run_cells(cells: list[tuple], fronts: Fronts, args, report: dict) -> bool:
    all_ok = True
    for number, client, front, server in cells:
        era = possible_directly(client, front, server) if args.direct else CLIENTS[client][2]
        if not era:
            continue
        name = f"{client} → {front} × {server}" if front else f"{client} × {server}"
        started = time.monotonic()
        results = run_cell(client, server, fronts.target(front, server), era, args, front)
        if fronts.notes:
            results.append(ends(fronts.notes, PROCESSES.get(client, 1)))
        report[name] = results
        passed, failed, skipped = counts(results)
        words = f"{passed} ok, {failed} failed, {skipped} skipped"
        print(f"{number} {name}: {words} ({time.monotonic() - started:.1f} s)".strip(), flush=True)
        for result in results:
            if not result["ok"]:
                print(f"  {result['check']}: {result['detail']}", flush=True)
        all_ok = all_ok and not failed
    return all_ok


def all_asked(report: dict) -> bool:
    """Whether every client was asked by servers of other makers, as far as it can answer."""
    answered: dict[str, set] = {}
    for name, results in report.items():
        if isinstance(results, list) and "→" not in name:
            client, server = name.split(" × ")
            went_well = {(server, one["check"]) for one in results if one["ok"] and not one.get("skipped")}
            answered.setdefault(client, set()).update(went_well)
    faults = never_asked(answered)
    print("\n".join(faults) or "every client was asked by servers of both eras that others made")
    return not faults


def ended_well(rialto: processes.Process) -> bool:
    """Tells Rialto to stop, and sees that it does."""
    rialto.process.terminate()
    try:
        code = rialto.process.wait(15)
    except Exception:
        print(f"{rialto.name} did not end within 15 s of being told to")
        return False
    if code != 0:
        print(f"{rialto.name} ended with {code} when it was told to stop")
    return code == 0


def run_round(args) -> bool:
    clients, servers, cells = selected(args)
    report, upstream_urls, rialto = {}, {}, None
    used = {server for *_, server in cells}
    whole = not (args.checks or args.clients or args.fronts)
    with tempfile.TemporaryDirectory(prefix="rialto-round-") as folder:
        entries = {}
        for name in servers:
            if SERVERS[name][0] == "http" and name in used:
                _, upstream_urls[name] = start_server(name)
        if args.direct:
            urls = upstream_urls
        else:
            entries = {name: entry(name, upstream_urls, folder) for name in servers if name in used}
            rialto, urls = start_rialto(args.rialto_bin, entries, folder)
        fronts = Fronts(args.rialto_bin, urls, entries, folder)
        all_ok = run_cells(cells, fronts, args, report)
        if whole:
            all_ok = run_conformance(urls, report, args.direct) and all_ok
        if whole and args.round == "full" and not args.servers and not args.direct:
            all_ok = all_asked(report) and all_ok
            all_ok = run_upstream_conformance(args.rialto_bin, report) and all_ok
        for process in filter(None, (fronts.rialto, rialto)):
            if not all_ok:
                print(f"\nthe last that {process.name} said:\n{process.tail(6000)}")
            all_ok = ended_well(process) and all_ok
        if rialto is not None and (left := children_ended()):
            print(f"{len(left)} server process(es) outlived Rialto: {left}")
            all_ok = False
    print("\n" + table(report, clients, servers))
    skipped = sum(counts(results)[2] for name, results in report.items() if isinstance(results, list))
    print(f"\n{'everything works' if all_ok else 'FAILED'}; {skipped} checks skipped")
    if args.report:
        args.report.write_text(json.dumps(report, indent=2, ensure_ascii=False) + "\n")
    return all_ok


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("round", choices=["short", "full"])
    parser.add_argument("--rialto-bin", type=pathlib.Path, default=BUILT / "rialto")
    parser.add_argument("--direct", action="store_true", help="without Rialto")
    parser.add_argument("--clients", default="", help=", ".join(CLIENTS))
    parser.add_argument("--servers", default="", help=", ".join(SERVERS))
    parser.add_argument("--fronts", default="", help=f"only cells with one of these between: {', '.join(FRONTS)}")
    parser.add_argument("--checks", default="", help="only these checks")
    parser.add_argument("--report", type=pathlib.Path)
    args = parser.parse_args()
    for asked, known in ((args.clients, CLIENTS), (args.servers, SERVERS), (args.fronts, FRONTS)):
        for name in filter(None, asked.split(",")):
            if name not in known:
                parser.error(f"unknown name `{name}`; there are: {', '.join(known)}")
    if not args.direct and not args.rialto_bin.exists():
        parser.error(f"there is no Rialto at {args.rialto_bin}: build it with `cargo build`, or name one with --rialto-bin")
    if not NODE.exists():
        parser.error(f"nothing is installed in {DIR}: run tests/interop/setup.sh")
    if not RMCP[0].exists() and any(CLIENTS[client][0] is RMCP for client in selected(args)[0]):
        parser.error(f"there is no client at {RMCP[0]}: build it with `cargo build --example rmcp-client`")
    processes.end_with_us()
    sys.exit(0 if run_round(args) else 1)


if __name__ == "__main__":
    main()
