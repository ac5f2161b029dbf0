"""FastMCP as a client: `client_fastmcp.py URL --mode auto|legacy|pinned [--profile P] [--skip a,b]`."""

import asyncio
import contextlib
import logging
import os
import shlex
import warnings

import mcp_types as types
from fastmcp import Client as FastClient
from fastmcp.client.elicitation import ElicitResult
from fastmcp.client.transports import StdioTransport
from mcp import MCPError

import checks

warnings.simplefilter("ignore")
logging.disable(logging.WARNING)

PINNED = "2026-07-28"
# This client has no way to subscribe or to listen, and the level of the log is the server's choice in the modern era.
UNABLE = {"subscribe", "list_changed"}


def plain(model):
    return model.model_dump(mode="json", by_alias=True, exclude_none=True)


async def sdk(call):
    """Awaits a call and gives its result as plain JSON, its error as ours."""
    try:
        return plain(await call)
    except MCPError as error:
        raise checks.RpcError(error.code, error.message, error.data) from error


async def pages(fetch, key):
    entries, cursor = [], None
    while True:
        page = await sdk(fetch(cursor=cursor))
        entries += page[key]
        cursor = page.get("nextCursor")
        if not cursor:
            return entries


class Client:
    def __init__(self):
        self.logs = []
        self.client: FastClient = None
        self.info = {"era": None}

    def able(self, check):
        return check not in UNABLE and not (check == "logging" and self.modern)

    @property
    def modern(self):
        return self.info["era"] == "modern"

    async def on_log(self, message):
        self.logs.append(f"{message.level}: {message.data}")

    async def on_elicitation(self, message, response_type, params, context):
        return ElicitResult(**checks.elicitation_answer(message, params.requested_schema))

    async def on_sampling(self, messages, params, context):
        return types.CreateMessageResult.model_validate(checks.sampling_answer(messages[0].content.text))

    async def on_roots(self, context):
        return [types.Root.model_validate(root) for root in checks.ROOTS]

    async def ping(self):
        checks.need(await self.client.ping(), "no answer to a ping")

    async def tools(self):
        return await pages(self.client.list_tools_mcp, "tools")

    async def resources(self):
        return await pages(self.client.list_resources_mcp, "resources")

    async def templates(self):
        return await pages(self.client.list_resource_templates_mcp, "resourceTemplates")

    async def prompts(self):
        return await pages(self.client.list_prompts_mcp, "prompts")

    async def call(self, name, args, on_progress=None):
        async def progress(done, total, message):
            on_progress(done, total, message)

        return await sdk(self.client.call_tool_mcp(name, args, progress_handler=progress if on_progress else None))

    async def cancelled_call(self, name, args):
        begun = asyncio.Event()
        call = asyncio.ensure_future(self.call(name, args, on_progress=lambda *_: begun.set()))
        await asyncio.wait_for(begun.wait(), 10)
        call.cancel()
        with contextlib.suppress(asyncio.CancelledError, checks.RpcError):
            await call

    async def read(self, uri):
        return await sdk(self.client.read_resource_mcp(uri))

    async def prompt(self, name, args):
        return await sdk(self.client.get_prompt_mcp(name, args))

    async def complete(self, prompt, argument, value):
        ref = types.PromptReference(type="ref/prompt", name=prompt)
        return (await sdk(self.client.complete_mcp(ref, {"name": argument, "value": value})))["completion"]["values"]

    async def set_level(self, level):
        await self.client.set_logging_level(level)


@contextlib.asynccontextmanager
async def connect(args):
    client, target = Client(), args.target
    if not target.startswith("http"):
        command, *rest = shlex.split(target)
        target = StdioTransport(command=command, args=rest)
    client.client = FastClient(
        target,
        mode=PINNED if args.mode == "pinned" else args.mode,
        auth=os.environ.get("INTEROP_KEY"),
        log_handler=client.on_log,
        elicitation_handler=client.on_elicitation,
        sampling_handler=client.on_sampling,
        roots=client.on_roots,
    )
    async with contextlib.AsyncExitStack() as stack:
        async with asyncio.timeout(checks.DEADLINE):
            await stack.enter_async_context(client.client)
        revision, server = client.client.protocol_version, client.client.server_info
        era = "modern" if revision >= PINNED else "legacy"
        client.info = {"revision": revision, "era": era, "server": server.name if server else "a server without a name"}
        yield client


if __name__ == "__main__":
    checks.main(connect, ["auto", "legacy", "pinned"])
