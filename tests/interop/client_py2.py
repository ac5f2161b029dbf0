"""The Python SDK 2.x as a client: `client_py2.py URL --mode auto|legacy|pinned [--profile P] [--skip a,b]`."""

import asyncio
import contextlib
import logging
import shlex
import warnings

import mcp.types as types
from mcp import Client as SdkClient
from mcp import MCPError, StdioServerParameters
from mcp.client.streamable_http import streamable_http_client
from mcp.shared._httpx_utils import create_mcp_http_client

import checks

# Subscribing, pinging and setting a log level are deprecated for the modern era, and what the legacy era has.
warnings.simplefilter("ignore")
logging.disable(logging.WARNING)

PINNED = "2026-07-28"


def plain(model):
    return model.model_dump(mode="json", by_alias=True, exclude_none=True)


async def sdk(call):
    """Awaits an SDK call and gives its result as plain JSON, its error as ours."""
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
        self.logs, self.updates, self.changes = [], [], []
        self.client: SdkClient = None
        self.info = {"era": None}

    async def on_log(self, params):
        self.logs.append(f"{params.level}: {params.data}")

    async def on_message(self, message):
        if self.modern:
            return  # what a modern server announces is counted where it is listened for
        if isinstance(message, types.ResourceUpdatedNotification):
            self.updates.append(str(message.params.uri))
        elif isinstance(message, types.ToolListChangedNotification):
            self.changes.append("tools")

    async def on_elicitation(self, context, params):
        return types.ElicitResult.model_validate(checks.elicitation_answer(params.message, params.requested_schema))

    async def on_sampling(self, context, params):
        content = params.messages[0].content
        return types.CreateMessageResult.model_validate(checks.sampling_answer(content.text))

    async def on_roots(self, context):
        return types.ListRootsResult.model_validate({"roots": checks.ROOTS})

    @property
    def modern(self):
        return self.info["era"] == "modern"

    async def ping(self):
        await sdk(self.client.send_ping())

    async def tools(self):
        return await pages(self.client.list_tools, "tools")

    async def resources(self):
        return await pages(self.client.list_resources, "resources")

    async def templates(self):
        return await pages(self.client.list_resource_templates, "resourceTemplates")

    async def prompts(self):
        return await pages(self.client.list_prompts, "prompts")

    async def call(self, name, args, on_progress=None):
        async def progress(done, total, message):
            on_progress(done, total, message)

        return await sdk(self.client.call_tool(name, args, progress_callback=progress if on_progress else None))

    async def cancelled_call(self, name, args):
        begun = asyncio.Event()
        call = asyncio.ensure_future(self.call(name, args, on_progress=lambda *_: begun.set()))
        await asyncio.wait_for(begun.wait(), 10)
        call.cancel()
        with contextlib.suppress(asyncio.CancelledError, checks.RpcError):
            await call

    async def read(self, uri):
        return await sdk(self.client.read_resource(uri))

    async def prompt(self, name, args):
        return await sdk(self.client.get_prompt(name, args))

    async def complete(self, prompt, argument, value):
        ref = types.PromptReference(type="ref/prompt", name=prompt)
        return (await sdk(self.client.complete(ref, {"name": argument, "value": value})))["completion"]["values"]

    async def set_level(self, level):
        """A modern client states its level with every request, from the start (see `connect`)."""
        if not self.modern:
            await sdk(self.client.set_logging_level(level))

    @contextlib.asynccontextmanager
    async def listening(self, seen, **wanted):
        async with self.client.listen(**wanted) as subscription:

            async def follow():
                async for event in subscription:
                    seen.append(getattr(event, "uri", "tools"))

            task = asyncio.ensure_future(follow())
            try:
                yield seen
            finally:
                task.cancel()

    @contextlib.asynccontextmanager
    async def subscription(self, uri):
        self.updates.clear()
        if self.modern:
            async with self.listening(self.updates, resource_subscriptions=[uri]) as seen:
                yield seen
            return
        await sdk(self.client.subscribe_resource(uri))
        yield self.updates
        await sdk(self.client.unsubscribe_resource(uri))

    @contextlib.asynccontextmanager
    async def list_changes(self):
        self.changes.clear()
        if self.modern:
            async with self.listening(self.changes, tools_list_changed=True) as seen:
                yield seen
            return
        yield self.changes


@contextlib.asynccontextmanager
async def connect(args):
    client, target = Client(), args.target
    if not target.startswith("http"):
        command, *rest = shlex.split(target)
        target = StdioServerParameters(command=command, args=rest)
    elif headers := checks.credentials():
        target = streamable_http_client(target, http_client=create_mcp_http_client(headers=headers))
    client.client = SdkClient(
        target,
        mode=PINNED if args.mode == "pinned" else args.mode,
        log_level="info",
        logging_callback=client.on_log,
        message_handler=client.on_message,
        elicitation_callback=client.on_elicitation,
        sampling_callback=client.on_sampling,
        list_roots_callback=client.on_roots,
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
