"""The checks that every Python client runs against a server, and the program around them.

A client program gives an adapter (see `client_py1.py`), and `main` runs the named checks of a profile, each under a
deadline of its own. It prints one JSON line a check, `{"check": …, "ok": …, "detail": …}`, and ends with 1 when any
failed. A check that the profile lacks or `--skip` names prints `"skipped": true`.
"""

import argparse
import asyncio
import base64
import json
import os
import pathlib
import sys
import time
import uuid

DEADLINE = 20


def credentials() -> dict[str, str] | None:
    """The headers that carry the key in INTEROP_KEY, where there is one."""
    key = os.environ.get("INTEROP_KEY")
    return {"Authorization": f"Bearer {key}"} if key else None

PROFILES = json.loads((pathlib.Path(__file__).parent / "profiles.json").read_text())


class RpcError(Exception):
    """A JSON-RPC error answer, whatever the SDK calls it."""

    def __init__(self, code, message, data=None):
        super().__init__(f"{code} {message}")
        self.code, self.message, self.data = code, message, data


def need(condition, words):
    if not condition:
        raise AssertionError(words)


def shorten(value, width=300):
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)
    return text if len(text) <= width else text[: width - 1] + "…"


def texts(result) -> str:
    return "\n".join(block.get("text", "") for block in result.get("content", []))


def compact(text: str) -> str:
    """Without the spaces that JSON printers differ in."""
    return text.replace('": ', '":').replace(', "', ',"')


# --- what a client answers when it is asked -------------------------------------------------------------------------

VALUES = {"name": "Ada", "color": "blue", "ok": True, "context": "a context", "role": "operator"}


def elicitation_answer(message: str, schema: dict) -> dict:
    """Accepts with a fitting value for each required property, unless the message asks to decline."""
    if "decline" in message:
        return {"action": "decline"}
    content = {}
    for name, wanted in schema.get("properties", {}).items():
        if name in VALUES:
            content[name] = VALUES[name]
        elif name in schema.get("required", []):
            kind = wanted.get("type")
            content[name] = {"boolean": True, "integer": 1, "number": 1.5}.get(kind, "text")
    return {"action": "accept", "content": content}


def sampling_answer(text: str) -> dict:
    return {"role": "assistant", "content": {"type": "text", "text": f"You said: {text}"}, "model": "test", "stopReason": "endTurn"}


ROOTS = [{"uri": os.environ.get("INTEROP_ROOT", "file:///workspace"), "name": "workspace"}]

# --- the checks -----------------------------------------------------------------------------------------------------


async def expect_call(client, want, **more):
    result = await client.call(want["tool"], want.get("args", {}), **more)
    need(not result.get("isError"), f"error result: {shorten(texts(result))}")
    if "contains" in want:
        need(compact(want["contains"]) in compact(texts(result)), f"{want['contains']!r} is not in {shorten(texts(result))}")
    return result


async def connect(client, want):
    info = client.info
    need(client.expect_era in (None, info["era"]), f"negotiated {info['revision']}, wanted the {client.expect_era} era")
    if getattr(client, "opens_stream", False):
        await until(lambda: "GET" in client.sent, "stream opened with GET after the handshake", lambda: client.sent)
    return f"{info['revision']} with {info['server']}"


async def ping(client, want):
    if client.info["era"] == "modern":
        return None
    await client.ping()
    return "answered"


async def lists(entries, key, want):
    names = [entry[key] for entry in entries]
    missing = [name for name in want["contains"] if name not in names]
    need(not missing, f"missing {missing} in {shorten(names)}")
    need(len(set(names)) == len(names), f"listed twice: {shorten(names)}")
    return f"{len(names)} listed"


async def tools(client, want):
    entries = await client.tools()
    for entry in entries:
        need(isinstance(entry.get("inputSchema"), dict), f"no inputSchema: {entry}")
        kept = want.get("keeps", {}).get(entry["name"])
        need(kept is None or kept in json.dumps(entry["inputSchema"]), f"{kept} lost from the schema of {entry['name']}")
    return await lists(entries, "name", want)


async def resources(client, want):
    return await lists(await client.resources(), "uri", want)


async def templates(client, want):
    return await lists(await client.templates(), "uriTemplate", want)


async def prompts(client, want):
    return await lists(await client.prompts(), "name", want)


async def echo(client, want):
    return shorten(texts(await expect_call(client, want)))


async def add(client, want):
    result = await expect_call(client, want)
    if "structured" in want:
        need(result.get("structuredContent") == want["structured"], f"structuredContent is {result.get('structuredContent')}")
    return shorten(texts(result))


async def content(client, want):
    result = await expect_call(client, want)
    kinds = [block["type"] for block in result["content"]]
    need(all(kind in kinds for kind in want["types"]), f"got {kinds}")
    return ", ".join(kinds)


async def fail(client, want):
    result = await client.call(want["tool"], want["args"])
    need(result.get("isError") is True, f"no error result: {shorten(result)}")
    need(want["contains"] in texts(result), shorten(result))
    return shorten(texts(result))


async def refuse(client, want):
    try:
        result = await client.call(want["tool"], want["args"])
    except RpcError as error:
        need(error.code == want["code"], f"code {error.code}: {error.message}")
        need(want["contains"] in error.message, error.message)
        need(error.data == want["data"], f"data is {error.data}")
        return f"{error.code} {error.message} {error.data}"
    raise AssertionError(f"no JSON-RPC error: {shorten(result)}")


async def refused_somehow(call):
    """A wrong call may be refused with an error result or with a JSON-RPC error, but it must be refused."""
    try:
        result = await call
    except RpcError as error:
        return f"JSON-RPC error {error.code}: {shorten(error.message)}"
    need(result.get("isError"), f"accepted: {shorten(result)}")
    return f"error result: {shorten(texts(result))}"


async def bad_arguments(client, want):
    return await refused_somehow(client.call(want["tool"], want["args"]))


async def unknown_tool(client, want):
    return await refused_somehow(client.call(want["tool"], want["args"]))


async def read_unknown(client, want):
    return await refused_somehow(client.read(want["uri"]))


async def unknown_prompt(client, want):
    return await refused_somehow(client.prompt(want["name"], want["args"]))


async def big_numbers(client, want):
    result = await expect_call(client, want)
    said = json.loads(texts(result))
    need(result["structuredContent"] == said, f"{result['structuredContent']} is not {said}")
    return shorten(said)


async def large(client, want):
    length = len(texts(await expect_call(client, want)))
    need(length == want["length"], f"{length} characters, wanted {want['length']}")
    return f"{length} characters"


async def read_text(client, want):
    contents = (await client.read(want["uri"]))["contents"]
    need(contents[0]["uri"] == want["uri"], f"uri is {contents[0]['uri']}")
    need(want["contains"] in contents[0]["text"], shorten(contents))
    return shorten(contents[0]["text"], 80)


read_template = read_text


async def read_blob(client, want):
    data = base64.b64decode((await client.read(want["uri"]))["contents"][0]["blob"])
    need(data.startswith(b"\x89PNG"), f"no PNG: {data[:8]!r}")
    return f"{len(data)} bytes"


async def prompt(client, want):
    result = await client.prompt(want["name"], want["args"])
    said = " ".join(message["content"].get("text", "") for message in result["messages"])
    need(want["contains"] in said, shorten(said))
    return shorten(said, 80)


elicitation_prompt = prompt


async def completion(client, want):
    values = await client.complete(want["prompt"], want["argument"], want["value"])
    need(want["contains"] in values, f"got {values}")
    return f"{values}"


async def progress(client, want):
    seen = []
    await expect_call(client, want, on_progress=lambda done, total, message: seen.append(done))
    need(len(seen) >= want["count"], f"{len(seen)} reports, wanted {want['count']}")
    need(seen == sorted(set(seen)), f"not increasing: {seen}")
    return f"{seen}"


async def logging(client, want):
    await client.set_level("info")
    before = len(client.logs)
    await expect_call(client, want)
    await until(lambda: len(client.logs) - before >= want["count"], f"{want['count']} log messages", lambda: client.logs[before:])
    return shorten(client.logs[before:])


async def until(condition, what, seen=lambda: None, seconds=10.0):
    """Waits for something that notifications bring about."""
    deadline = time.monotonic() + seconds
    while not condition():
        need(time.monotonic() < deadline, f"no {what} within {seconds} s (got {shorten(seen())})")
        await asyncio.sleep(0.02)


async def parallel(client, want):
    order = []

    async def run(name):
        await expect_call(client, want[name])
        order.append(name)

    slow = asyncio.ensure_future(run("slow"))
    try:
        await run("quick")
        await slow
    finally:
        slow.cancel()
    need(order == ["quick", "slow"], f"order {order}: the slow call held up the quick one")
    return "the quick call overtook the slow one"


async def told(client, want, tag):
    result = await client.call(want["told_by"], {})
    return json.loads(texts(result))["tags"].get(tag, {})


async def exactly_once(client, want):
    tag = uuid.uuid4().hex
    await client.call(want["tool"], {**want["args"], "tag": tag})
    counted = await told(client, want, tag)
    need(counted == {"started": 1, "finished": 1}, f"{counted}")
    return f"{counted}"


async def cancel(client, want):
    tag = uuid.uuid4().hex
    args = {**want["args"], "tag": tag} if "told_by" in want else want["args"]
    began = time.monotonic()
    await client.cancelled_call(want["tool"], args)
    if "told_by" in want:
        while not (counted := await told(client, want, tag)).get("cancelled"):
            need(time.monotonic() < began + 8, f"the server never stopped: {counted}")
            await asyncio.sleep(0.1)
        need(counted == {"started": 1, "cancelled": 1}, f"{counted}")
    # The session must have survived.
    await client.tools()
    return f"stopped after {time.monotonic() - began:.1f} s"


async def subscribe(client, want):
    async with client.subscription(want["uri"]) as seen:
        triggers = 0
        for _ in range(5 if want.get("repeat") else 1):
            triggers += 1
            await client.call(want["trigger"]["tool"], want["trigger"]["args"])
            try:
                await until(lambda: want["uri"] in seen, "update", lambda: seen, 2 if want.get("repeat") else 8)
                break
            except AssertionError:
                if triggers == 5:
                    raise
        if "stop" in want:
            await client.call(want["stop"]["tool"], want["stop"]["args"])
    need(want["uri"] in seen, f"no update after {triggers} triggers")
    return f"update after {triggers} trigger(s)"


async def list_changed(client, want):
    async with client.list_changes() as seen:
        listed = []
        for _ in range(2):
            before = len(seen)
            for attempt in range(4):
                await client.call(want["trigger"]["tool"], want["trigger"]["args"])
                # Twice when the announcement went missing, so that the list really changes.
                if attempt:
                    await client.call(want["trigger"]["tool"], want["trigger"]["args"])
                try:
                    await until(lambda: len(seen) > before, "tools/list_changed", lambda: seen, 2)
                    break
                except AssertionError:
                    if attempt == 3:
                        raise
            listed.append(want["tool"] in [entry["name"] for entry in await client.tools()])
    need(listed[0] != listed[1], f"the list did not follow: {listed}")
    return f"announced {len(seen)} times, the list followed"


async def ask(client, want):
    return shorten(texts(await expect_call(client, want)))


elicitation = elicitation_declined = elicitation_twice = sampling = roots = questions_at_once = ask


async def task(client, want):
    """A tool that is called as a task by clients that know tasks, and as any other by those that leave that to Rialto."""
    call = getattr(client, "as_task", client.call)
    result = await call(want["tool"], want["args"])
    need(not result.get("isError") and want["contains"] in texts(result), shorten(result))
    return shorten(texts(result))


# The same for a tool that is nothing but a task, and asks before it is one where it can.
task_only = task


async def roots_standalone(client, want):
    return None if client.info["era"] == "modern" else await ask(client, want)


async def undeclared(client, want):
    """Where nobody can be asked, the question is refused or cancelled, and at once."""
    if getattr(client, "asks_back", True):
        return None
    try:
        result = await client.call(want["tool"], want["args"])
    except RpcError as error:
        return f"JSON-RPC error {error.code}: {shorten(error.message)}"
    need(result.get("isError") or "action=cancel" in texts(result), f"accepted: {shorten(result)}")
    return shorten(texts(result))


async def declared(client, want):
    said = json.loads(texts(await expect_call(client, want)))
    capabilities = said.get("capabilities") or said.get("io.modelcontextprotocol/clientCapabilities") or {}
    missing = [name for name in want["capabilities"] if name not in capabilities]
    need(not missing, f"the server was not told of {missing}: {capabilities}")
    return shorten(capabilities)


# --- the program ----------------------------------------------------------------------------------------------------


def report(check, ok, detail, **more):
    print(json.dumps({"check": check, "ok": ok, "detail": detail, **more}, ensure_ascii=False), flush=True)
    return ok


async def run_checks(client, args) -> bool:
    profile, all_ok = PROFILES[args.profile], True
    for name, want in profile.items():
        if args.only and name not in args.only:
            continue
        if name in args.skip or not getattr(client, "able", lambda _: True)(name):
            report(name, True, "asked to skip" if name in args.skip else "not possible with this client", skipped=True)
            continue
        try:
            detail = await asyncio.wait_for(globals()[name](client, want), DEADLINE)
        except Exception as error:
            words = "nothing happened" if isinstance(error, TimeoutError) else str(error)
            all_ok = report(name, False, shorten(f"{type(error).__name__}: {words}", 600)) and False
            continue
        report(name, True, detail or "not for this client", **({} if detail else {"skipped": True}))
    return all_ok


def main(connect_client, modes):
    """Runs a client program. `connect_client(args)` is an async context manager that gives the adapter."""
    parser = argparse.ArgumentParser()
    parser.add_argument("target", help="URL of the MCP endpoint, or a command line to run over stdio")
    parser.add_argument("--mode", choices=modes, default=modes[0])
    parser.add_argument("--profile", choices=sorted(PROFILES), default="fixture")
    parser.add_argument("--expect-era", choices=["legacy", "modern"])
    names = lambda text: set(filter(None, text.split(",")))
    parser.add_argument("--skip", type=names, default=set(), help="checks to leave out: a,b,c")
    parser.add_argument("--only", type=names, default=set(), help="checks to run: a,b,c")
    args = parser.parse_args()

    finished = []

    async def run():
        async with connect_client(args) as client:
            client.expect_era = args.expect_era
            finished.append(await run_checks(client, args))
            return finished[0]

    try:
        ok = asyncio.run(run())
    except BaseException as error:
        while isinstance(error, BaseExceptionGroup):
            error = error.exceptions[0]
        if isinstance(error, KeyboardInterrupt):
            raise
        # Over stdio the SDK 1.x may stumble over its own closing when the server is still sending.
        if finished and not args.target.startswith("http"):
            sys.exit(0 if finished[0] else 1)
        ok = report("session", False, shorten(f"{type(error).__name__}: {error}", 600))
    sys.exit(0 if ok else 1)
