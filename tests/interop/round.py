"""Real MCP clients against real MCP servers, through Rialto.

    round.py short [--rialto-bin PATH]    one client of each SDK line, one server of each era
    round.py full [--rialto-bin PATH]     every client, every server
    round.py short|full --direct          the same without Rialto, as far as eras and transports meet

It runs the cells one after the other, then the conformance suite (see `conformance.py`), prints a table, and ends with
1 when anything failed. `--clients`, `--servers` and `--checks` (each a,b,c) narrow a round; narrowed to clients or
checks it leaves the suite out. `--report FILE` writes everything as JSON. Run `setup.sh` first.
"""

import argparse
import json
import os
import pathlib
import socket
import sys
import tempfile
import time
import uuid

import conformance
import processes

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent.parent
FIXTURES = HERE.parent / "fixtures"
DIR = conformance.DIR
NODE = DIR / "bin/node"
EVERYTHING = DIR / "npm/node_modules/@modelcontextprotocol/server-everything/dist/index.js"
CELL_SECONDS = 240
MARK = f"RIALTO_INTEROP_ROUND={uuid.uuid4().hex}"

# A client: its program, its mode, and the era that it ends up with when a server offers both.
PY1 = [DIR / "mcp130/bin/python", HERE / "client_py1.py"]
PY2 = [DIR / "mcp230/bin/python", HERE / "client_py2.py"]
TS1 = [NODE, HERE / "client_ts1.mjs"]
TS2 = [NODE, HERE / "client_ts2.mjs"]
INSPECTOR = [sys.executable, HERE / "client_inspector.py"]
CLIENTS = {
    "py1": (PY1, "legacy", "legacy"),
    "py2-legacy": (PY2, "legacy", "legacy"),
    "py2-auto": (PY2, "auto", "modern"),
    "py2-pinned": (PY2, "pinned", "modern"),
    "ts1": (TS1, "legacy", "legacy"),
    "ts2-legacy": (TS2, "legacy", "legacy"),
    "ts2-auto": (TS2, "auto", "modern"),
    "ts2-pinned": (TS2, "pinned", "modern"),
    "inspector-legacy": (INSPECTOR, "legacy", "legacy"),
    "inspector-auto": (INSPECTOR, "auto", "modern"),
    "inspector-modern": (INSPECTOR, "modern", "modern"),
}

# A server: how it starts, whether it prints the URL it listens at or speaks over stdio, its profile and its eras.
LEGACY = [DIR / "mcp130/bin/python", FIXTURES / "legacy.py"]
MODERN = [NODE, FIXTURES / "modern.mjs"]
SERVERS = {
    "legacy-http": ("http", [*LEGACY, "--port", "0", "--watch-stdin"], "fixture", {"legacy"}),
    "legacy-stdio": ("stdio", [*LEGACY, "--stdio"], "fixture", {"legacy"}),
    "legacy-stateless": ("http", [*LEGACY, "--port", "0", "--watch-stdin", "--stateless"], "fixture", {"legacy"}),
    "modern-http": ("http", [*MODERN, "--port", "0", "--watch-stdin"], "fixture", {"modern"}),
    "modern-stdio": ("stdio", [*MODERN, "--stdio"], "fixture", {"modern"}),
    "everything-http": ("http", [NODE, EVERYTHING, "streamableHttp"], "everything", {"legacy"}),
    "everything-stdio": ("stdio", [NODE, EVERYTHING, "stdio"], "everything", {"legacy"}),
    "time-stdio": ("stdio", [DIR / "tools/bin/mcp-server-time"], "time", {"legacy", "modern"}),
}
SHORT = (["py1", "py2-auto", "ts1", "ts2-auto"], ["legacy-http", "modern-http"])

# Checks that a cell leaves out, with the reason.
CROSS_ERA = {
    "elicitation_twice", "elicitation_prompt", "sampling", "roots", "roots_standalone", "questions_at_once", "subscribe",
    "list_changed", "declared",
}  # fmt: skip
STATELESS = {
    "elicitation", "elicitation_declined", "elicitation_twice", "elicitation_prompt", "sampling", "roots",
    "roots_standalone", "questions_at_once", "subscribe", "list_changed", "cancel", "logging", "undeclared", "declared",
}  # fmt: skip

# What the conformance suite judges: revision and server. The direct results are in `conformance/`.
CONFORMANCE = [("2025-06-18", "legacy-http"), ("2025-11-25", "legacy-http"), ("2026-07-28", "modern-http")]


def skips(client: str, server: str, era: str) -> dict[str, str]:
    """What a client that speaks this era leaves out with this server, and why."""
    wanted = {}
    if client == "inspector-legacy" and SERVERS[server][0] == "stdio":
        wanted["exactly_once"] = "each command of the inspector is a session, and each session has a process of its own"
    if era not in SERVERS[server][3]:
        wanted |= dict.fromkeys(CROSS_ERA, "cross-era")
    if server == "legacy-stateless":
        wanted |= dict.fromkeys(STATELESS, "a server without sessions cannot")
    return wanted


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


def start_rialto(binary: pathlib.Path, servers: list[str], urls: dict[str, str], folder: str):
    """Starts Rialto with every server behind a mount of its name; gives it and the URL of each mount."""
    entries = {}
    for name in servers:
        kind, command, *_ = SERVERS[name]
        if kind == "http":
            entries[name] = {"url": urls[name]}
        else:
            key, value = MARK.split("=")
            env = {key: value, "RIALTO_INTEROP_DIR": str(DIR)}
            entries[name] = {"command": str(command[0]), "args": [str(part) for part in command[1:]], "env": env}
    config = pathlib.Path(folder) / "mcp.json"
    config.write_text(json.dumps({"mcpServers": entries}, indent=2))
    process = processes.Process("rialto", [binary, "serve", config, "--listen", "127.0.0.1:0"])
    base = f"http://127.0.0.1:{process.line(processes.URL, 30).group(1)}"
    return process, {name: f"{base}/mcp/{name}" for name in servers}


def run_cell(client: str, server: str, url: str, era: str, checks: str) -> list[dict]:
    program, mode, _ = CLIENTS[client]
    left_out = skips(client, server, era)
    command = [*program, url, "--mode", mode, "--profile", SERVERS[server][2], "--expect-era", era]
    if left_out:
        command += ["--skip", ",".join(sorted(left_out))]
    if checks:
        command += ["--only", checks]
    code, output, errors = processes.run(client, command, CELL_SECONDS)
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

    rows = [["", *servers]] + [[client, *(cell(client, server) for server in servers)] for client in clients]
    widths = [max(len(row[column]) for row in rows) for column in range(len(servers) + 1)]
    return "\n".join("  ".join(text.ljust(width) for text, width in zip(row, widths)).rstrip() for row in rows)


def run_conformance(urls: dict[str, str], report: dict, direct: bool) -> bool:
    all_ok = True
    for revision, server in CONFORMANCE:
        if server not in urls:
            continue
        name = f"{revision}-{server.removesuffix('-http')}"
        expected = json.loads((conformance.RESULTS / f"direct-{name}.json").read_text())
        results, said = conformance.run(urls[server], revision, expected["server"])
        if direct:
            faults = [] if results == expected else [f"the committed direct results differ: {conformance.text(results)}"]
        else:
            faults = conformance.compare(expected, results, conformance.exceptions_for(name))
        report[f"conformance {name}"] = {"results": results, "faults": faults}
        print(f"conformance {name}: {conformance.summary(results)}: {'FAIL' if faults else 'as directly'}", flush=True)
        for fault in faults:
            print(f"  {fault}")
            for words in said.get(fault.split(":")[0], []):
                print(f"    {words}")
        all_ok = all_ok and not faults
    return all_ok


def children_ended(seconds=5.0) -> list[int]:
    """The server processes that outlive Rialto."""
    deadline = time.monotonic() + seconds
    while (left := processes.carrying(MARK)) and time.monotonic() < deadline:
        time.sleep(0.05)
    return left


def run_round(args) -> bool:
    clients, servers = SHORT if args.round == "short" else (list(CLIENTS), list(SERVERS))
    clients = [name for name in args.clients.split(",") if name] or clients
    servers = [name for name in args.servers.split(",") if name] or servers
    if args.direct:
        servers = [name for name in servers if SERVERS[name][0] == "http"]
    report, all_ok, upstream_urls = {}, True, {}
    rialto = None
    with tempfile.TemporaryDirectory(prefix="rialto-round-") as folder:
        for name in servers:
            if SERVERS[name][0] == "http":
                _, upstream_urls[name] = start_server(name)
        if args.direct:
            urls = upstream_urls
        else:
            rialto, urls = start_rialto(args.rialto_bin, servers, upstream_urls, folder)
        for server in servers:
            for client in clients:
                _, mode, own_era = CLIENTS[client]
                era = own_era
                if args.direct and own_era not in SERVERS[server][3]:
                    if mode != "auto":
                        continue
                    era = "legacy"  # a client that tries the modern era first falls back
                started = time.monotonic()
                results = run_cell(client, server, urls[server], era, args.checks)
                report[f"{client} × {server}"] = results
                passed, failed, skipped = counts(results)
                words = f"{passed} ok, {failed} failed, {skipped} skipped"
                print(f"{client} × {server}: {words} ({time.monotonic() - started:.1f} s)", flush=True)
                for result in results:
                    if not result["ok"]:
                        print(f"  {result['check']}: {result['detail']}", flush=True)
                all_ok = all_ok and not failed
        if not args.checks and not args.clients:
            all_ok = run_conformance(urls, report, args.direct) and all_ok
        if rialto is not None:
            if not all_ok:
                print(f"\nthe last that Rialto said:\n{rialto.tail(6000)}")
            rialto.process.terminate()
            try:
                code = rialto.process.wait(15)
                if code != 0:
                    print(f"Rialto ended with {code} when it was told to stop")
                    all_ok = False
            except Exception:
                print("Rialto did not end within 15 s of being told to")
                all_ok = False
            if left := children_ended():
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
    built = pathlib.Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target")) / "debug/rialto"
    parser.add_argument("--rialto-bin", type=pathlib.Path, default=built)
    parser.add_argument("--direct", action="store_true", help="without Rialto")
    parser.add_argument("--clients", default="", help=", ".join(CLIENTS))
    parser.add_argument("--servers", default="", help=", ".join(SERVERS))
    parser.add_argument("--checks", default="", help="only these checks")
    parser.add_argument("--report", type=pathlib.Path)
    args = parser.parse_args()
    for asked, known in ((args.clients, CLIENTS), (args.servers, SERVERS)):
        for name in filter(None, asked.split(",")):
            if name not in known:
                parser.error(f"unknown name `{name}`; there are: {', '.join(known)}")
    if not args.direct and not args.rialto_bin.exists():
        parser.error(f"there is no Rialto at {args.rialto_bin}: build it with `cargo build`, or name one with --rialto-bin")
    if not NODE.exists():
        parser.error(f"nothing is installed in {DIR}: run tests/interop/setup.sh")
    processes.end_with_us()
    sys.exit(0 if run_round(args) else 1)


if __name__ == "__main__":
    main()
