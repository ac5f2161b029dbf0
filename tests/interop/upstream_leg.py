"""Rialto as the client that the conformance suite judges: `upstream_leg.py --rialto-bin PATH --era E URL`.

The suite starts a server for each scenario and appends its URL. This starts Rialto with that URL as its one mount, and
a client of the Python SDK 2.x uses everything that the mount has: it lists, reads, gets, and calls each tool, with the
arguments that the scenario wants or else with some that fit the schema. What the server sees is Rialto.

A legacy client leaves more to Rialto than a modern one does, such as the headers that arguments travel in.
"""

import argparse
import asyncio
import json
import logging
import os
import pathlib
import tempfile
import time
import urllib.request
import warnings

import mcp.types as types
from mcp import Client, MCPError

import processes

warnings.simplefilter("ignore")
logging.disable(logging.WARNING)

MODES = {"legacy": "legacy", "modern": "2026-07-28"}
VALUES = {"string": "some text", "integer": 3, "number": 2.5, "boolean": True, "array": [], "object": {}, "null": None}
# Some scenarios have a server that fails on purpose, and what the client makes of it is not asked.
SECONDS = 20


def arguments_for(tool: types.Tool, tools: list[types.Tool]) -> dict:
    """A value for each required argument. An argument that is a schema is that of another tool, as it was listed."""
    schema = tool.input_schema
    values = {}
    for name in schema.get("required") or []:
        kind = schema.get("properties", {}).get(name, {}).get("type")
        values[name] = VALUES.get(kind, "some text")
        if name == "schema" and kind == "object":
            values[name] = next(other.input_schema for other in tools if other.name != tool.name)
    return values


async def answer(context, params) -> types.ElicitResult:
    """Accepts with the default of each field, and agrees to what has none."""
    fields = params.requested_schema.get("properties", {})
    content = {name: field.get("default", VALUES.get(field.get("type"))) for name, field in fields.items()}
    return types.ElicitResult(action="accept", content=content)


async def attempt(what: str, call):
    """What a server refuses is told, and is no reason to leave out the rest."""
    try:
        async with asyncio.timeout(SECONDS):
            result = await call
        print(f"{what}: {str(result)[:200]}", flush=True)
        return result
    except (MCPError, TimeoutError, ValueError, RuntimeError) as error:
        print(f"{what}: {type(error).__name__}: {error}", flush=True)
        return None


async def use(url: str, era: str) -> None:
    wanted = json.loads(os.environ.get("MCP_CONFORMANCE_CONTEXT") or "{}").get("toolCalls")
    async with Client(url, mode=MODES[era], elicitation_callback=answer) as client:
        listed = await attempt("tools/list", client.list_tools())
        tools = listed.tools if listed else []
        if resources := await attempt("resources/list", client.list_resources()):
            for resource in resources.resources:
                await attempt(f"read {resource.uri}", client.read_resource(resource.uri))
        if prompts := await attempt("prompts/list", client.list_prompts()):
            for prompt in prompts.prompts:
                values = {argument.name: "some text" for argument in prompt.arguments or []}
                await attempt(f"get {prompt.name}", client.get_prompt(prompt.name, values))
        calls = [(call["name"], call["arguments"]) for call in wanted] if wanted else None
        calls = calls or [(tool.name, arguments_for(tool, tools)) for tool in tools]
        # All at once: what belongs to one call must not get into another.
        await asyncio.gather(*(attempt(f"call {name}", client.call_tool(name, values)) for name, values in calls))


def wait_until_known(base: str) -> None:
    """Rialto asks the server who it is on its own; nothing is to be sent before that is over."""
    deadline = time.monotonic() + SECONDS
    while time.monotonic() < deadline:
        with urllib.request.urlopen(f"{base}/readyz", timeout=5) as response:
            mount = json.load(response)["mounts"]["judged"]
        if mount["status"] in ("up", "down"):
            print(f"the mount is {mount}", flush=True)
            return
        time.sleep(0.02)
    print(f"the mount did not come up: {mount}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rialto-bin", type=pathlib.Path, required=True)
    parser.add_argument("--era", choices=list(MODES), required=True)
    parser.add_argument("url")
    args = parser.parse_args()
    processes.end_with_us()
    with tempfile.TemporaryDirectory(prefix="rialto-leg-") as folder:
        config = pathlib.Path(folder) / "mcp.json"
        config.write_text(json.dumps({"mcpServers": {"judged": {"url": args.url}}}))
        rialto = processes.Process("rialto", [args.rialto_bin, "serve", config, "--listen", "127.0.0.1:0"])
        base = f"http://127.0.0.1:{rialto.line(processes.URL, 30).group(1)}"
        wait_until_known(base)
        try:
            asyncio.run(use(f"{base}/mcp/judged", args.era))
        except BaseException as error:
            while isinstance(error, BaseExceptionGroup):
                error = error.exceptions[0]
            print(f"the client failed: {type(error).__name__}: {error}", flush=True)
        rialto.process.terminate()
        rialto.process.wait(15)
        print(rialto.tail(6000), flush=True)


if __name__ == "__main__":
    main()
