"""The demo as its users have it: agents at both mounts, programs at the REST routes, with a key and without.

    app.py [--rialto-bin PATH] [--clients a,b] [--parts open,keys,generated,schemathesis]

`open` and `keys` run MCP clients against `docs` and `finance`, of a demo that asks for no key and of one that does, where
clients without a key must fail. `generated` makes a client from the OpenAPI document with a generator and calls a tool and
a route with it. `schemathesis` tries every operation of the document. Run `setup.sh` first.
"""

import argparse
import hashlib
import json
import os
import pathlib
import subprocess
import sys
import tempfile
import time
import urllib.request

import processes
from cells import CLIENTS, DIR, NODE, ROOT, client_environment
from round import CELL_SECONDS

MOUNTS = ["docs", "finance"]
CLIENT_NAMES = ["py1", "py2-auto", "ts1", "ts2-auto", "inspector-legacy", "inspector-auto"]
PARTS = ["open", "keys", "generated", "schemathesis"]
KEY = "interop-round-0123456789abcdef"
API = DIR / "api/bin"
# The generated client is used by the program that a user would write.
PROGRAM = """
import sys
from rialto_client import AuthenticatedClient
from rialto_client.api.docs import docs_search
from rialto_client.api.ledger import ledger_list_invoices
from rialto_client.models import DocsSearchInput, DocsSearchOutput

client = AuthenticatedClient(base_url=sys.argv[1], token=sys.argv[2], raise_on_unexpected_status=True)
found = docs_search.sync(client=client, body=DocsSearchInput(query="seal", limit=2))
assert isinstance(found, DocsSearchOutput) and found.total > 0 and len(found.hits) == 2, found
page = ledger_list_invoices.sync(client=client, limit=3)
assert len(page.invoices) == 3 and page.invoices[0].amount.cents > 0, page
stranger = AuthenticatedClient(base_url=sys.argv[1], token="wrong-key-0123456789")
assert docs_search.sync_detailed(client=stranger, body=DocsSearchInput(query="seal")).status_code == 401
print(f"{found.total} hits, the newest invoice is {page.invoices[0].id}")
"""


class Demo:
    """The demo in a process of its own."""

    def __init__(self, binary: pathlib.Path, folder: str, asks: bool):
        command = [binary, "serve"]
        if asks:
            hashed = "sha256:" + hashlib.sha256(KEY.encode()).hexdigest()
            file = pathlib.Path(folder) / "keys.json"
            auth = {"keys": [{"principal": "ada", "key": hashed}]}
            file.write_text(json.dumps({"rialto": {"demo": True, "auth": auth}}))
            command.append(file)
        self.process = processes.Process("demo", [*command, "--listen", "127.0.0.1:0"])
        self.base = f"http://127.0.0.1:{self.process.line(processes.URL, 30).group(1)}"

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.process.terminate()
        self.process.process.wait(15)


def run_client(name: str, demo: Demo, mount: str, key: str) -> list[dict]:
    program, mode, era = CLIENTS[name]
    command = [*program, f"{demo.base}/mcp/{mount}", "--mode", mode, "--profile", mount, "--expect-era", era]
    environment = {**client_environment(mount), **({"INTEROP_KEY": key} if key else {})}
    code, output, errors = processes.run(name, command, CELL_SECONDS, environment)
    results = [json.loads(line) for line in output.split("\n") if line.startswith("{")]
    if not results or (code != 0 and all(result["ok"] for result in results)):
        results.append({"check": "client", "ok": False, "detail": f"ended with {code}: {errors[-1500:]}"})
    return results


def run_clients(args, folder: str, asks: bool) -> bool:
    all_ok, key = True, KEY if asks else ""
    for name in args.clients:
        for mount in MOUNTS:
            # What a client pays and closes stays paid and closed, so each has a demo of its own.
            with Demo(args.rialto_bin, folder, asks) as demo:
                started = time.monotonic()
                results = run_client(name, demo, mount, key)
                failed = [result for result in results if not result["ok"]]
                passed = sum(not result.get("skipped") and result["ok"] for result in results)
                words = f"{passed} ok, {len(failed)} failed ({time.monotonic() - started:.1f} s)"
                print(f"{'with a key' if asks else 'open'}: {name} × {mount}: {words}", flush=True)
                for result in failed:
                    print(f"  {result['check']}: {result['detail']}", flush=True)
                all_ok = all_ok and not failed and passed > 0
                if asks and all(result["ok"] for result in run_client(name, demo, mount, "")):
                    print(f"  {name} got in without a key")
                    all_ok = False
    return all_ok


def document(demo: Demo, folder: str) -> pathlib.Path:
    request = urllib.request.Request(f"{demo.base}/openapi.json", headers={"X-Api-Key": KEY})
    path = pathlib.Path(folder) / "openapi.json"
    path.write_bytes(urllib.request.urlopen(request, timeout=30).read())
    return path


def tell(name: str, code: int, output: str) -> bool:
    lines = output.strip().splitlines()
    print(f"{name}: {lines[-1] if lines else 'said nothing'}{'' if code == 0 else ': FAILED'}", flush=True)
    if code != 0:
        print(output[-12000:])
    return code == 0


def generated(args, folder: str) -> bool:
    """A client made by openapi-python-client."""
    with Demo(args.rialto_bin, folder, True) as demo:
        made = pathlib.Path(folder) / "rialto_client"
        make = [API / "openapi-python-client", "generate", "--meta", "none", "--path", document(demo, folder)]
        run = lambda *command, **more: subprocess.run(
            [str(part) for part in command], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=120, **more
        )
        made_it = run(*make, "--output-path", made)
        if made_it.returncode != 0 or "Unable to parse" in made_it.stdout:
            return tell("generated client", 1, made_it.stdout)
        used = run(API / "python", "-c", PROGRAM, demo.base, KEY, cwd=folder)
        return tell("generated client", used.returncode, used.stdout)


def schemathesis(args, folder: str) -> bool:
    """Every operation of the document, with data that fits and data that does not."""
    with Demo(args.rialto_bin, folder, True) as demo:
        settings = pathlib.Path(folder) / "schemathesis.toml"
        said = (ROOT / "openapi/schemathesis.toml").read_text()
        settings.write_text(f'{said}\n[auth.openapi.bearer]\nbearer = "{KEY}"\n')
        command = [API / "schemathesis", "--config-file", settings, "run", document(demo, folder), "--url", demo.base]
        command += ["--max-examples", str(args.examples), "--no-color"]
        done = subprocess.run(
            [str(part) for part in command], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=900, cwd=folder
        )
        return tell("schemathesis", done.returncode, done.stdout)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    built = pathlib.Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target")) / "debug/rialto"
    listed = lambda text: [name for name in text.split(",") if name]
    parser.add_argument("--rialto-bin", type=pathlib.Path, default=built)
    parser.add_argument("--clients", type=listed, default=CLIENT_NAMES, help=", ".join(CLIENT_NAMES))
    parser.add_argument("--parts", type=listed, default=PARTS, help=", ".join(PARTS))
    parser.add_argument("--examples", type=int, default=10, help="how many examples schemathesis makes for an operation")
    args = parser.parse_args()
    for name in [*(set(args.clients) - set(CLIENTS)), *(set(args.parts) - set(PARTS))]:
        parser.error(f"unknown name `{name}`")
    if not args.rialto_bin.exists():
        parser.error(f"there is no Rialto at {args.rialto_bin}: build it with `cargo build`, or name one with --rialto-bin")
    if not NODE.exists() or not API.exists():
        parser.error(f"not everything is installed in {DIR}: run tests/interop/setup.sh")
    processes.end_with_us()
    all_ok = True
    with tempfile.TemporaryDirectory(prefix="rialto-app-") as folder:
        if "open" in args.parts:
            all_ok = run_clients(args, folder, False) and all_ok
        if "keys" in args.parts:
            all_ok = run_clients(args, folder, True) and all_ok
        if "generated" in args.parts:
            all_ok = generated(args, folder) and all_ok
        if "schemathesis" in args.parts:
            all_ok = schemathesis(args, folder) and all_ok
    print("everything works" if all_ok else "FAILED")
    sys.exit(0 if all_ok else 1)


if __name__ == "__main__":
    main()
