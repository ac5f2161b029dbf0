"""The Python SDK 1.x as a client: `client_py1.py URL [--profile P] [--skip a,b]`. It speaks the legacy era only."""

import asyncio
import contextlib
import shlex

import mcp.types as types
from mcp import ClientSession, StdioServerParameters
from mcp.client.stdio import stdio_client
from mcp.client.streamable_http import streamable_http_client
from mcp.shared._httpx_utils import create_mcp_http_client
from mcp.shared.exceptions import McpError

import checks

RELATED = "io.modelcontextprotocol/related-task"


def plain(model):
    return model.model_dump(mode="json", by_alias=True, exclude_none=True)


async def sdk(call):
    """Awaits an SDK call and gives its result as plain JSON, its error as ours."""
    try:
        return plain(await call)
    except McpError as error:
        raise checks.RpcError(error.error.code, error.error.message, error.error.data) from error


async def pages(fetch, key):
    entries, cursor = [], None
    while True:
        page = await sdk(fetch(params=types.PaginatedRequestParams(cursor=cursor) if cursor else None))
        entries += page[key]
        cursor = page.get("nextCursor")
        if not cursor:
            return entries


class Client:
    def __init__(self):
        self.logs, self.updates, self.changes, self.sent = [], [], [], []
        self.session: ClientSession = None

    async def on_request(self, request):
        self.sent.append(request.method)

    async def on_log(self, params):
        self.logs.append(f"{params.level}: {params.data}")

    async def on_message(self, message):
        if isinstance(message, types.ServerNotification):
            if isinstance(message.root, types.ResourceUpdatedNotification):
                self.updates.append(str(message.root.params.uri))
            elif isinstance(message.root, types.ToolListChangedNotification):
                self.changes.append("tools")

    async def on_elicitation(self, context, params):
        return types.ElicitResult.model_validate(checks.elicitation_answer(params.message, params.requestedSchema))

    async def on_sampling(self, context, params):
        return types.CreateMessageResult.model_validate(checks.sampling_answer(params.messages[0].content.text))

    async def on_roots(self, context):
        return types.ListRootsResult.model_validate({"roots": checks.ROOTS})

    async def ping(self):
        await sdk(self.session.send_ping())

    async def tools(self):
        return await pages(self.session.list_tools, "tools")

    async def resources(self):
        return await pages(self.session.list_resources, "resources")

    async def templates(self):
        return await pages(self.session.list_resource_templates, "resourceTemplates")

    async def prompts(self):
        return await pages(self.session.list_prompts, "prompts")

    async def call(self, name, args, on_progress=None):
        async def progress(done, total, message):
            on_progress(done, total, message)

        return await sdk(self.session.call_tool(name, args, progress_callback=progress if on_progress else None))

    async def as_task(self, name, args):
        tasks = self.session.experimental
        created = await sdk(tasks.call_tool_as_task(name, args))
        task = created["task"]["taskId"]
        checks.need(created["task"]["status"] == "working", f"begins as {created}")
        result = await sdk(tasks.get_task_result(task, types.CallToolResult))
        checks.need(result["_meta"][RELATED]["taskId"] == task, f"the result is of {result['_meta']}")
        checks.need((await sdk(tasks.get_task(task)))["status"] == "completed", "it is not completed")
        listed = [entry["taskId"] for entry in (await sdk(tasks.list_tasks()))["tasks"]]
        checks.need(task in listed, f"{task} is not among {listed}")
        # The same again, given up before anybody has asked it for its result.
        again = (await sdk(tasks.call_tool_as_task(name, args)))["task"]["taskId"]
        try:
            cancelled = await sdk(tasks.cancel_task(again))
            checks.need(cancelled["status"] == "cancelled", f"cancelled, it is {cancelled}")
        except checks.RpcError as error:
            # It was done by then.
            checks.need(error.code == -32602, f"not cancelled: {error}")
        return result

    async def cancelled_call(self, name, args):
        """This SDK sends no cancellation of its own accord; it is sent here for the id that the call will use."""
        request_id, begun = self.session._request_id, asyncio.Event()
        call = asyncio.ensure_future(self.call(name, args, on_progress=lambda *_: begun.set()))
        await asyncio.wait_for(begun.wait(), 10)
        params = types.CancelledNotificationParams(requestId=request_id, reason="enough")
        await self.session.send_notification(types.ClientNotification(types.CancelledNotification(params=params)))
        # Some servers answer a cancelled call with an error and some never do: neither may hold up what follows.
        await asyncio.wait([call], timeout=1)
        call.cancel()
        with contextlib.suppress(checks.RpcError, asyncio.CancelledError):
            await call

    async def read(self, uri):
        return await sdk(self.session.read_resource(uri))

    async def prompt(self, name, args):
        return await sdk(self.session.get_prompt(name, args))

    async def complete(self, prompt, argument, value):
        ref = types.PromptReference(type="ref/prompt", name=prompt)
        return (await sdk(self.session.complete(ref, {"name": argument, "value": value})))["completion"]["values"]

    async def set_level(self, level):
        await sdk(self.session.set_logging_level(level))

    @contextlib.asynccontextmanager
    async def subscription(self, uri):
        self.updates.clear()
        await sdk(self.session.subscribe_resource(uri))
        yield self.updates
        await sdk(self.session.unsubscribe_resource(uri))

    @contextlib.asynccontextmanager
    async def list_changes(self):
        self.changes.clear()
        yield self.changes


@contextlib.asynccontextmanager
async def connect(args):
    client = Client()
    async with contextlib.AsyncExitStack() as stack:
        if args.target.startswith("http"):
            http = await stack.enter_async_context(create_mcp_http_client(headers=checks.credentials()))
            http.event_hooks = {"request": [client.on_request]}
            streams = await stack.enter_async_context(streamable_http_client(args.target, http_client=http))
            read, write, session = streams
        else:
            command, *rest = shlex.split(args.target)
            read, write = await stack.enter_async_context(stdio_client(StdioServerParameters(command=command, args=rest)))
        client.session = await stack.enter_async_context(
            ClientSession(
                read,
                write,
                logging_callback=client.on_log,
                message_handler=client.on_message,
                elicitation_callback=client.on_elicitation,
                sampling_callback=client.on_sampling,
                list_roots_callback=client.on_roots,
            )
        )
        async with asyncio.timeout(checks.DEADLINE):
            result = await client.session.initialize()
        # Without a session there is nothing to open a stream for.
        client.opens_stream = args.target.startswith("http") and session() is not None
        client.info = {"revision": result.protocolVersion, "era": "legacy", "server": result.serverInfo.name}
        yield client


if __name__ == "__main__":
    checks.main(connect, ["legacy"])
