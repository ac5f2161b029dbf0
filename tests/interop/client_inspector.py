"""Inspector's command line as a client: `client_inspector.py URL --mode legacy|auto|modern [--profile P] [--skip a,b]`.

It starts one inspector process for each request. Inspector answers no questions when scripted and prints no JSON-RPC
error codes, so the checks that need either are left out.
"""

import asyncio
import contextlib
import json
import os
import pathlib
import shlex

import checks

HERE = pathlib.Path(__file__).parent
DIR = pathlib.Path(os.environ.get("RIALTO_INTEROP_DIR") or HERE.parent.parent / ".interop").resolve()
INSPECTOR = DIR / "npm/node_modules/@modelcontextprotocol/inspector/clients/launcher/build/index.js"
ABLE = {
    "connect", "tools", "resources", "templates", "prompts", "echo", "add", "content", "fail", "bad_arguments",
    "unknown_tool", "read_text", "read_blob", "read_template", "read_unknown", "prompt", "unknown_prompt",
    "exactly_once", "undeclared",
}  # fmt: skip


class Client:
    asks_back = False

    def __init__(self, args):
        self.common = ["--protocol-era", args.mode, "-q", "--format", "json"]
        http = args.target.startswith("http")
        self.target = [args.target, "--transport", "http"] if http else shlex.split(args.target)
        for name, value in (checks.credentials() or {}).items():
            self.target += ["--header", f"{name}: {value}"]

    def able(self, check):
        return check in ABLE

    async def run(self, method, *options):
        command = [str(DIR / "bin/node"), str(INSPECTOR), "--cli", *self.target, *self.common, "--method", method, *options]
        pipe = asyncio.subprocess.PIPE
        process = await asyncio.create_subprocess_exec(*command, stdin=asyncio.subprocess.DEVNULL, stdout=pipe, stderr=pipe)
        try:
            out, err = await asyncio.wait_for(process.communicate(), checks.DEADLINE)
        except BaseException:
            process.kill()
            await process.wait()
            raise
        if out.strip():
            return json.loads(out)["result"]
        error = json.loads(err.strip().splitlines()[-1])["error"]
        raise checks.RpcError(error["code"], error["message"])

    async def tools(self):
        return (await self.run("tools/list"))["tools"]

    async def resources(self):
        return (await self.run("resources/list"))["resources"]

    async def templates(self):
        return (await self.run("resources/templates/list"))["resourceTemplates"]

    async def prompts(self):
        return (await self.run("prompts/list"))["prompts"]

    async def call(self, name, args):
        return await self.run("tools/call", "--tool-name", name, "--tool-args-json", json.dumps(args))

    async def read(self, uri):
        return await self.run("resources/read", "--uri", uri)

    async def prompt(self, name, args):
        pairs = [f"{key}={value}" for key, value in args.items()]
        return await self.run("prompts/get", "--prompt-name", name, *(["--prompt-args", *pairs] if pairs else []))


@contextlib.asynccontextmanager
async def connect(args):
    client = Client(args)
    result = await client.run("initialize")
    revision = result["protocolVersion"]
    era = "modern" if revision >= "2026-07-28" else "legacy"
    client.info = {"revision": revision, "era": era, "server": (result.get("serverInfo") or {}).get("name")}
    yield client


if __name__ == "__main__":
    checks.main(connect, ["legacy", "auto", "modern"])
