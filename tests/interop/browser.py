"""The pages of Rialto in a real browser: headless Chromium.

    browser.py [--rialto-bin PATH] [--screens FOLDER] [--only home.states,swagger.tool]

It starts Rialto as the demo, in front of a hostile server, and with keys, and looks at the pages of each as people do:
nothing may be asked of another origin, nothing may run that a server said, no policy may be broken. A part that this
Rialto does not have is skipped, and that is said. `--screens` keeps pictures. Run `setup.sh` first.
"""

import argparse
import hashlib
import json
import os
import pathlib
import sys
import tempfile
import time
import urllib.error
import urllib.request

import processes
from cells import DIR, FIXTURES, HERE, NODE, ROOT

SECONDS = 120
KEY = "rk_browser-round-0123456789abcdef"
PRINCIPAL = "olga"

HOSTILE = "<script>alert(1)</script>"
HOME = ["home.states", "home.links", "home.looks", "home.reading"]
# The numbers of the attacks that checks play.
NUMBERS = {"home.hostile": "SEC-120", "swagger.hostile": "SEC-119"}
PARTS = {
    "demo": [*HOME, "swagger.tool", "swagger.route", "swagger.mount"],
    "hostile": ["home.states", "home.looks", "home.hostile", "swagger.hostile"],
    "keys": ["keys.refused", "keys.login", "home.states", "swagger.authorize"],
}


def config(part: str, folder: str) -> dict | None:
    """The file that a part is served from; none for the demo."""
    docs = {"command": sys.executable, "args": [str(FIXTURES / "hostile.py")]}
    if part == "hostile":
        entries = {HOSTILE: docs, "missing": {"command": f"{HOSTILE} {folder}"}, "gone": {"url": "http://127.0.0.1:9/mcp"}}
        return {"mcpServers": entries}
    return None


class Rialto:
    def __init__(self, binary: pathlib.Path, name: str, file: dict | None, folder: str):
        command = [binary, "serve"]
        if file is not None:
            path = pathlib.Path(folder) / f"{name}.json"
            path.write_text(json.dumps(file, indent=2))
            command.append(path)
        self.process = processes.Process(f"rialto-{name}", [*command, "--listen", "127.0.0.1:0"])
        self.base = f"http://127.0.0.1:{self.process.line(processes.URL, 30).group(1)}"

    def has(self, path: str, headers: dict | None = None) -> bool:
        try:
            urllib.request.urlopen(urllib.request.Request(self.base + path, headers=headers or {}), timeout=10).close()
            return True
        except urllib.error.HTTPError as error:
            return error.code != 404


def start(binary: pathlib.Path, part: str, folder: str) -> Rialto | str:
    """Rialto as a part wants it, or why it cannot be had."""
    if part != "keys":
        return Rialto(binary, part, config(part, folder), folder)
    # The documentation of the demo, behind another Rialto that asks for a key.
    demo = Rialto(binary, "demo-behind", None, folder)
    key = {"principal": PRINCIPAL, "key": "sha256:" + hashlib.sha256(KEY.encode()).hexdigest()}
    file = {"mcpServers": {"docs": {"url": f"{demo.base}/mcp/docs"}}, "rialto": {"auth": {"keys": [key]}}}
    try:
        return Rialto(binary, part, file, folder)
    except RuntimeError as error:
        if "rialto.auth: unknown key" in str(error):
            return "this Rialto knows no keys"
        raise


def missing(rialto: Rialto, check: str, headers: dict) -> str:
    """What a check needs and this Rialto does not have."""
    needs = {"swagger.tool": "/docs", "swagger.mount": "/docs", "swagger.hostile": "/docs", "swagger.authorize": "/docs"}
    needs["swagger.route"] = "/api/finance/invoices"
    path = needs.get(check)
    return f"there is no {path}" if path and not rialto.has(path, headers) else ""


def run_part(binary: pathlib.Path, part: str, checks: list[str], screens: pathlib.Path | None, folder: str) -> list[dict]:
    rialto = start(binary, part, folder)
    if isinstance(rialto, str):
        return [{"check": check, "ok": True, "skipped": True, "detail": rialto} for check in checks]
    given = {"base": rialto.base}
    if part == "keys":
        given |= {"key": KEY, "principal": PRINCIPAL}
    if screens:
        given["screens"] = str(screens / part)
    headers = {"Authorization": f"Bearer {KEY}"} if part == "keys" else {}
    reasons = {check: missing(rialto, check, headers) for check in checks}
    results = [{"check": c, "ok": True, "skipped": True, "detail": reason} for c, reason in reasons.items() if reason]
    wanted = [check for check in checks if not reasons[check]]
    if wanted:
        request = json.dumps({**given, "checks": wanted})
        code, output, errors = processes.run("browser", [NODE, HERE / "browser/run.mjs", request], SECONDS)
        done = [json.loads(line) for line in output.split("\n") if line.startswith("{")]
        results += done
        if len(done) < len(wanted) or (code != 0 and all(result["ok"] for result in done)):
            results.append({"check": "browser", "ok": False, "detail": f"ended with {code}: {errors[-1500:]}"})
    if not all(result["ok"] for result in results):
        print(f"the last that Rialto said:\n{rialto.process.tail(3000)}")
    rialto.process.stop()
    return results


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    built = pathlib.Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target")) / "debug/rialto"
    parser.add_argument("--rialto-bin", type=pathlib.Path, default=built)
    parser.add_argument("--screens", type=pathlib.Path, help="a folder for pictures")
    parser.add_argument("--only", default="", help="only these checks")
    args = parser.parse_args()
    if not args.rialto_bin.exists():
        parser.error(f"there is no Rialto at {args.rialto_bin}: build it with `cargo build`, or name one with --rialto-bin")
    if not (DIR / "bin/chromium").exists():
        parser.error(f"there is no browser in {DIR}: run tests/interop/setup.sh")
    if args.screens:
        args.screens.mkdir(parents=True, exist_ok=True)
    processes.end_with_us()
    began, all_ok, skipped = time.monotonic(), True, 0
    only = set(filter(None, args.only.split(",")))
    with tempfile.TemporaryDirectory(prefix="rialto-browser-") as folder:
        for part, checks in PARTS.items():
            checks = [check for check in checks if not only or check in only]
            for result in run_part(args.rialto_bin, part, checks, args.screens, folder) if checks else []:
                word = "skipped" if result.get("skipped") else "ok" if result["ok"] else "FAILED"
                seconds = f" ({result['seconds']:.1f} s)" if "seconds" in result else ""
                name = f"{NUMBERS.get(result['check'], '')} {part}: {result['check']}".strip()
                print(f"{name}: {word}{seconds}{': ' + result['detail'] if result['detail'] else ''}", flush=True)
                all_ok, skipped = all_ok and result["ok"], skipped + bool(result.get("skipped"))
    print(f"\n{'everything works' if all_ok else 'FAILED'}; {skipped} skipped; {time.monotonic() - began:.0f} s")
    sys.exit(0 if all_ok else 1)


if __name__ == "__main__":
    main()
