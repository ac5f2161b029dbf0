"""Runs the official conformance suite against a server, and compares a run through Rialto with a direct one; and runs
its client leg with Rialto as the client (see `upstream_leg.py`).

    conformance.py run URL --revision 2025-11-25 --server legacy [--out FILE]
    conformance.py compare DIRECT.json THROUGH.json [--exceptions FILE]
    conformance.py upstream --rialto-bin PATH

`run` writes how each scenario ended as sorted JSON: `pass`, `warning` (nothing failed, but something was advised
against), `skipped` (nothing was judged) or `fail`. `compare` fails when a scenario ended worse through Rialto than
directly, unless the exceptions file says so and why, and when an exception ended otherwise than that file says. The two
runs may be of different servers: what a legacy server gives directly is what a modern one is to give through Rialto.
`upstream` fails when a scenario did not end as `conformance/upstream.json` says, or when that file forgot one.
"""

import argparse
import fnmatch
import json
import os
import pathlib
import subprocess
import sys
import tempfile

HERE = pathlib.Path(__file__).resolve().parent
DIR = pathlib.Path(os.environ.get("RIALTO_INTEROP_DIR") or HERE.parent.parent / ".interop").resolve()
SUITE = DIR / "npm/node_modules/@modelcontextprotocol/conformance"
RESULTS = HERE / "conformance"
EXCEPTIONS = RESULTS / "exceptions.json"
UPSTREAM = RESULTS / "upstream.json"
SELECTIONS = {
    # This revision has no frozen list of requirements.
    "2025-06-18": ["--spec-version", "2025-06-18", "--suite", "all"],
    "2025-11-25": ["--requirements", "2025-11-25"],
    "2026-07-28": ["--requirements", "2026-07-28"],
}
RANK = {"missing": 0, "fail": 0, "skipped": 1, "warning": 2, "pass": 3}
PATIENCE = 600


def ended(checks: list[dict]) -> str:
    statuses = {check["status"] for check in checks}
    for status, name in (("FAILURE", "fail"), ("WARNING", "warning"), ("SUCCESS", "pass")):
        if status in statuses:
            return name
    return "skipped"


def suite(*words) -> subprocess.CompletedProcess:
    command = [DIR / "bin/node", SUITE / "dist/index.js", *words]
    return subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=PATIENCE)


def judged(file: pathlib.Path, name: str, said: dict[str, list[str]]) -> str:
    """How the scenario ended that this file is about; what was wrong is added to `said`."""
    checks = json.loads(file.read_text())
    if bad := [check for check in checks if check["status"] in ("FAILURE", "WARNING")]:
        said[name] = [f"{check['status']} {check['id']}: {check.get('errorMessage')}" for check in bad]
    return ended(checks)


def run(url: str, revision: str, server: str) -> tuple[dict, dict[str, list[str]]]:
    """The results of one run, and for each scenario that did not simply pass what the suite said."""
    with tempfile.TemporaryDirectory(prefix="rialto-conformance-") as folder:
        done = suite("server", "--url", url, *SELECTIONS[revision], "-o", folder)
        scenarios, said = {}, {}
        for file in pathlib.Path(folder).glob("server-*/checks.json"):
            # The folder is named `server-SCENARIO-2026-11-20T14-22-48-773Z`.
            name = file.parent.name.removeprefix("server-").rsplit("-", 6)[0]
            scenarios[name] = judged(file, name, said)
    if not scenarios:
        raise SystemExit(f"the suite judged nothing:\n{done.stdout[-2000:]}\n{done.stderr[-2000:]}")
    version = json.loads((SUITE / "package.json").read_text())["version"]
    results = {"revision": revision, "scenarios": dict(sorted(scenarios.items())), "server": server, "suite": version}
    return results, said


def compare(direct: dict, through: dict, exceptions: dict[str, dict]) -> list[str]:
    """What is wrong with a run through Rialto; `exceptions` says how a scenario ends that ends worse, and why."""
    faults = []
    for name, wanted in direct["scenarios"].items():
        got = through["scenarios"].get(name, "missing")
        excepted = exceptions.get(name)
        worse = RANK[got] < RANK[wanted]
        if worse and excepted is None:
            faults.append(f"{name}: {wanted} directly, {got} through Rialto")
        elif worse and excepted["ends"] != got:
            faults.append(f"{name}: excepted to end as {excepted['ends']} ({excepted['why']}), but it ends as {got}")
        elif not worse and excepted is not None:
            faults.append(f"{name}: excepted ({excepted['why']}), but it ends as well as directly: remove the exception")
    faults += [f"{name}: excepted, but no such scenario ran" for name in exceptions if name not in direct["scenarios"]]
    faults += [f"{name}: not among the direct results" for name in through["scenarios"] if name not in direct["scenarios"]]
    return faults


def run_name(revision: str, server: str) -> str:
    """What a run is called in files: `2025-11-25-legacy`."""
    return f"{revision}-{server.removesuffix('-http')}"


def direct_results(name: str) -> dict:
    """The committed results of a run without Rialto."""
    return json.loads((RESULTS / f"direct-{name}.json").read_text())


def upstream_scenarios(revision: str) -> list[str]:
    """What the client leg has for a revision."""
    lines = suite("list", "--client", "--spec-version", revision).stdout.splitlines()
    return [line.split()[1] for line in lines if line.startswith("  - ")]


def run_upstream(binary: pathlib.Path, expected: dict) -> tuple[dict, dict[str, list[str]]]:
    """One run of the client leg, with Rialto as the client and a client of the run's era before it."""
    scenarios, said = {}, {}
    leg = f"{DIR}/mcp230/bin/python {HERE}/upstream_leg.py --rialto-bin {binary.resolve()} --era {expected['era']}"
    for name in expected["scenarios"]:
        with tempfile.TemporaryDirectory(prefix="rialto-conformance-") as folder:
            done = suite(
                "client", "--command", leg, "--scenario", name, "--spec-version", expected["revision"], "-o", folder
            )  # fmt: skip
            file = next(pathlib.Path(folder).rglob("checks.json"), None)
            if file is None:
                scenarios[name], said[name] = "missing", [done.stdout[-1000:] + done.stderr[-1000:]]
                continue
            scenarios[name] = judged(file, name, said)
            if name in said:
                said[name].append((file.parent / "stdout.txt").read_text()[:2000])
    return {"revision": expected["revision"], "era": expected["era"], "scenarios": scenarios}, said


def compare_upstream(expected: dict, results: dict, left_out: dict[str, str]) -> list[str]:
    """What is wrong with a run of the client leg."""
    wanted, got = expected["scenarios"], results["scenarios"]
    faults = [f"{name}: expected {wanted[name]}, got {got[name]}" for name in wanted if wanted[name] != got[name]]
    for name in upstream_scenarios(expected["revision"]):
        if name not in wanted and not any(fnmatch.fnmatch(name, pattern) for pattern in left_out):
            faults.append(f"{name}: neither expected nor left out for a reason in {UPSTREAM.name}")
    return faults


def exceptions_for(name: str, file=EXCEPTIONS) -> dict[str, dict]:
    """The exceptions for a run through Rialto, by its name (`2025-11-25-legacy`)."""
    return json.loads(pathlib.Path(file).read_text()).get(name, {})


def text(results: dict) -> str:
    return json.dumps(results, indent=2, sort_keys=True) + "\n"


def summary(results: dict) -> str:
    ends = list(results["scenarios"].values())
    return ", ".join(f"{ends.count(end)} {end}" for end in ("pass", "warning", "skipped", "fail") if end in ends)


def upstream_main(binary: pathlib.Path) -> bool:
    expectations, failed = json.loads(UPSTREAM.read_text()), False
    for name, expected in expectations["runs"].items():
        results, said = run_upstream(binary, expected)
        faults = compare_upstream(expected, results, expectations["left_out"])
        print(f"{name}: {summary(results)}", *faults, *(words for fault in said.values() for words in fault), sep="\n  ")
        failed = failed or bool(faults)
    return failed


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    commands = parser.add_subparsers(dest="command", required=True)
    running = commands.add_parser("run")
    running.add_argument("url")
    running.add_argument("--revision", choices=sorted(SELECTIONS), required=True)
    running.add_argument("--server", required=True, help="name of the server in the results")
    running.add_argument("--out", type=pathlib.Path)
    comparing = commands.add_parser("compare")
    comparing.add_argument("direct", type=pathlib.Path)
    comparing.add_argument("through", type=pathlib.Path)
    comparing.add_argument("--exceptions", type=pathlib.Path, default=EXCEPTIONS)
    upstream = commands.add_parser("upstream")
    upstream.add_argument("--rialto-bin", type=pathlib.Path, required=True)
    args = parser.parse_args()
    if args.command == "upstream":
        sys.exit(1 if upstream_main(args.rialto_bin) else 0)
    if args.command == "run":
        results, said = run(args.url, args.revision, args.server)
        for name, words in sorted(said.items()):
            print(f"{name}\n  " + "\n  ".join(words), file=sys.stderr)
        print(summary(results), file=sys.stderr)
        if args.out:
            args.out.write_text(text(results))
        else:
            print(text(results), end="")
        return
    direct, through = json.loads(args.direct.read_text()), json.loads(args.through.read_text())
    name = run_name(through["revision"], through["server"])
    faults = compare(direct, through, exceptions_for(name, args.exceptions))
    print("\n".join(faults) or f"{name}: every scenario ends as well as directly")
    sys.exit(1 if faults else 0)


if __name__ == "__main__":
    main()
