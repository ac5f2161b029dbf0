"""What a round is made of: the clients, the servers, what may stand between, and what each pair leaves out."""

import json
import os
import pathlib
import sys
import tempfile
import uuid

import conformance

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent.parent
FIXTURES = HERE.parent / "fixtures"
DIR = conformance.DIR
NODE = DIR / "bin/node"
PACKAGES = DIR / "npm/node_modules"
OFFICIAL = PACKAGES / "@modelcontextprotocol"
# Every child of Rialto carries it, so that those which outlive Rialto are found.
MARK = ("RIALTO_INTEROP_ROUND", uuid.uuid4().hex)

# A client: its program, its mode, and the era that it ends up with when a server offers both.
PY1 = [DIR / "mcp130/bin/python", HERE / "client_py1.py"]
PY2 = [DIR / "mcp230/bin/python", HERE / "client_py2.py"]
FAST = [DIR / "fastmcp/bin/python", HERE / "client_fastmcp.py"]
TS1 = [NODE, HERE / "client_ts1.mjs"]
TS2 = [NODE, HERE / "client_ts2.mjs"]
# Built by `cargo test`, and by `cargo build --example rmcp-client`.
BUILT = pathlib.Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target")) / "debug"
RMCP = [BUILT / "examples/rmcp-client"]
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
    "fastmcp-legacy": (FAST, "legacy", "legacy"),
    "fastmcp-auto": (FAST, "auto", "modern"),
    "rmcp-legacy": (RMCP, "legacy", "legacy"),
    "rmcp-auto": (RMCP, "auto", "modern"),
    "rmcp-pinned": (RMCP, "pinned", "modern"),
    "inspector-legacy": (INSPECTOR, "legacy", "legacy"),
    "inspector-auto": (INSPECTOR, "auto", "modern"),
    "inspector-modern": (INSPECTOR, "modern", "modern"),
}

# A server: how it starts, whether it prints the URL it listens at or speaks over stdio, its profile and its eras.
LEGACY = [DIR / "mcp130/bin/python", FIXTURES / "legacy.py"]
MODERN = [NODE, FIXTURES / "modern.mjs"]
MODERN_PY = [DIR / "mcp230/bin/python", FIXTURES / "modern.py"]
FASTMCP = [DIR / "fastmcp/bin/python", FIXTURES / "fast.py"]
EVERYTHING = OFFICIAL / "server-everything/dist/index.js"
BOTH = {"legacy", "modern"}
SERVERS = {
    "legacy-http": ("http", [*LEGACY, "--port", "0", "--watch-stdin"], "fixture", {"legacy"}),
    "legacy-stdio": ("stdio", [*LEGACY, "--stdio"], "fixture", {"legacy"}),
    "legacy-stateless": ("http", [*LEGACY, "--port", "0", "--watch-stdin", "--stateless"], "fixture", {"legacy"}),
    "modern-http": ("http", [*MODERN, "--port", "0", "--watch-stdin"], "fixture", {"modern"}),
    "modern-stdio": ("stdio", [*MODERN, "--stdio"], "fixture", {"modern"}),
    "modern-py-http": ("http", [*MODERN_PY, "--port", "0", "--watch-stdin"], "fixture", {"modern"}),
    "modern-py-stdio": ("stdio", [*MODERN_PY, "--stdio"], "fixture", {"modern"}),
    "fastmcp-http": ("http", [*FASTMCP, "--port", "0", "--watch-stdin"], "fast", BOTH),
    "fastmcp-stdio": ("stdio", [*FASTMCP, "--stdio"], "fast", BOTH),
    "everything-http": ("http", [NODE, EVERYTHING, "streamableHttp"], "everything", {"legacy"}),
    "everything-stdio": ("stdio", [NODE, EVERYTHING, "stdio"], "everything", {"legacy"}),
    "time-stdio": ("stdio", [DIR / "tools/bin/mcp-server-time"], "time", BOTH),
    "filesystem-stdio": ("stdio", [NODE, OFFICIAL / "server-filesystem/dist/index.js", FIXTURES], "filesystem", {"legacy"}),
    "memory-stdio": ("stdio", [NODE, OFFICIAL / "server-memory/dist/index.js"], "memory", {"legacy"}),
    "git-stdio": ("stdio", [DIR / "tools/bin/mcp-server-git", "--repository", ROOT], "git", BOTH),
    "fetch-stdio": ("stdio", [DIR / "tools/bin/mcp-server-fetch", "--ignore-robots-txt"], "fetch", BOTH),
}
# What Rialto's file says of a server. The suite wants a task of every tool that may be one.
SETTINGS = {"legacy-http": {"tasks": {"prefer": True}}}
# Servers that people have and that hold no surprises: one client of each era is enough.
COMMON = {"filesystem-stdio", "memory-stdio", "git-stdio", "fetch-stdio"}
COMMON_CLIENTS = {"py1", "ts2-auto"}
SHORT = (["py1", "py2-auto", "ts1", "ts2-auto"], ["legacy-http", "modern-http"])

# The numbers of the scenarios that the clients play, each with every server.
NUMBERS = {
    "ts1": "ERA-081",
    "ts2-legacy": "ERA-083",
    "ts2-auto": "ERA-084",
    "ts2-pinned": "ERA-086",
    "py1": "ERA-087",
    "py2-legacy": "ERA-090",
    "rmcp-legacy": "ERA-091",
    "rmcp-auto": "ERA-092",
    "rmcp-pinned": "ERA-092",
}

# What people are asked for in the middle of a call. Every client that can answer has to meet all of it at a server of each
# era, and that server has to be by another maker.
ASKED = {"elicitation", "sampling", "roots"}


def maker(command: list) -> str:
    """Whose SDK a program stands on; FastMCP stands on the Python SDK. Nobody's when it cannot answer questions."""
    return {NODE: "TypeScript", RMCP[0]: "Rust", INSPECTOR[0]: ""}.get(command[0], "Python")


def never_asked(answered: dict[str, set[tuple[str, str]]]) -> list[str]:
    """The clients that some era has asked through no server of another maker; `answered` has, for each client, the
    servers and the checks that went well."""
    faults = []
    for client, (program, *_) in CLIENTS.items():
        for era in ("legacy", "modern"):
            others = [s for s, (_, command, _, eras) in SERVERS.items() if eras == {era} and maker(command) != maker(program)]
            if maker(program) and not any({(s, check) for check in ASKED} <= answered.get(client, set()) for s in others):
                faults.append(f"{client} was asked all of {', '.join(sorted(ASKED))} by no {era} server of another maker")
    return faults


# What the conformance suite judges: the number, the revision, the server behind Rialto, and the server whose direct
# results this is held against, which are in `conformance/`. A server of the other era has none: the suite cannot speak
# to it.
CONFORMANCE = [
    ("", "2025-06-18", "legacy-http", "legacy-http"),
    ("", "2025-06-18", "modern-http", "legacy-http"),
    ("ERA-093", "2025-11-25", "legacy-http", "legacy-http"),
    ("ERA-094", "2025-11-25", "modern-http", "legacy-http"),
    ("ERA-095", "2026-07-28", "legacy-http", "modern-http"),
    ("ERA-096", "2026-07-28", "modern-http", "modern-http"),
]
UPSTREAM_NUMBER = "ERA-097"

# Something between a client and Rialto's mount: another Rialto, FastMCP's proxy, or the bridge of those whose client
# knows stdio only. The bridge keeps what it knows of servers in a folder, which is one of the round's own. In place of
# the mount, a client may also start `rialto stdio` itself, in front of the same server.
FRONTS = {
    "rialto": None,
    "rialto-stdio": None,
    "fastmcp-proxy": [*FASTMCP, "--port", "0", "--watch-stdin", "--proxy"],
    "mcp-remote": [NODE, PACKAGES / "mcp-remote/dist/proxy.js"],
    "mcp-remote-auto": [NODE, PACKAGES / "mcp-remote/dist/proxy.js"],
}
CHAINS = [
    ("ERA-098", "fastmcp-legacy", "fastmcp-proxy", "fastmcp-http"),
    ("ERA-098", "fastmcp-auto", "fastmcp-proxy", "fastmcp-http"),
    ("ERA-099", "ts2-auto", "rialto", "legacy-http"),
    ("ERA-099", "py2-auto", "rialto", "legacy-stdio"),
    ("ERA-100", "ts1", "rialto", "modern-http"),
    ("ERA-100", "py1", "rialto", "modern-stdio"),
    ("", "ts2-auto", "rialto", "modern-http"),
    ("", "ts1", "rialto", "legacy-http"),
    ("", "ts1", "mcp-remote", "legacy-http"),
    ("", "py1", "mcp-remote", "modern-http"),
    ("", "py1", "mcp-remote-auto", "modern-http"),
]
# Clients that start Rialto, in each round.
STDIO = [
    ("ERA-085", "ts2-auto", "rialto-stdio", "legacy-http"),
    ("ERA-085", "ts2-auto", "rialto-stdio", "modern-http"),
    ("ERA-089", "py2-auto", "rialto-stdio", "legacy-http"),
    ("ERA-089", "py2-auto", "rialto-stdio", "modern-http"),
    ("", "ts1", "rialto-stdio", "modern-http"),
    ("", "py1", "rialto-stdio", "legacy-http"),
]
CHAINS += STDIO
# How many processes a client starts for one connection, where it is more than one: these ask a first one for its era.
PROCESSES = {"ts2-auto": 2, "ts2-pinned": 2}
CHAINS += [
    ("", "ts1", "rialto-stdio", "legacy-http"),
    ("", "py1", "rialto-stdio", "modern-http"),
    ("", "ts2-legacy", "rialto-stdio", "modern-stdio"),
    ("", "py2-legacy", "rialto-stdio", "legacy-stdio"),
    ("", "ts2-pinned", "rialto-stdio", "legacy-stdio"),
    ("", "py2-pinned", "rialto-stdio", "modern-py-stdio"),
    ("", "fastmcp-auto", "rialto-stdio", "legacy-stdio"),
    ("", "fastmcp-legacy", "rialto-stdio", "modern-stdio"),
]

# The clients whose SDK has tasks, or a package beside it that has.
TASKS = {"py1", "ts1", "ts2-legacy", "ts2-auto", "ts2-pinned"}

# Checks that a cell leaves out, with the reason.
STATELESS = {
    "elicitation", "elicitation_declined", "elicitation_twice", "elicitation_prompt", "sampling", "roots",
    "roots_standalone", "questions_at_once", "subscribe", "list_changed", "cancel", "logging", "undeclared", "declared",
    "task", "task_only",
}  # fmt: skip
# What a front does without Rialto, too.
FRONT_SKIPS = {
    "fastmcp-proxy": {"completion": "FastMCP's proxy passes no completion on"},
    "mcp-remote": {"big_numbers": "the bridge writes -0 as 0"},
    "mcp-remote-auto": {
        "cancel": "the bridge lets the call of a modern server go on",
        "task": "the bridge knows no tasks",
        "task_only": "the bridge knows no tasks",
    },
}


def skips(client: str, server: str, era: str, front: str = "", direct: bool = False) -> dict[str, str]:
    """What a client that speaks this era leaves out with this server, and why."""
    wanted = {}
    if client not in TASKS:
        if direct:
            required = "task" if server.startswith("everything") else "task_only"
            wanted[required] = "without Rialto, a tool that has to be a task is for clients that know tasks"
        elif era == "modern" and server.startswith("modern-"):
            wanted["task_only"] = "a modern server tells a modern client what it lacks, and so does Rialto"
    if client.startswith("ts2") and (era == "legacy" or direct):
        wrong = {"everything-http": "task", "everything-stdio": "task", "legacy-http": "task_only", "legacy-stdio": "task_only"}
        if server in wrong:
            wanted[wrong[server]] = "the package for tasks loses the question of this server, without Rialto too"
    if server.startswith("modern-py"):
        wanted |= dict.fromkeys(("task", "task_only"), "its SDK has no tasks")
    if client == "inspector-legacy" and SERVERS[server][0] == "stdio":
        wanted["exactly_once"] = "each command of the inspector is a session, and each session has a process of its own"
    if server == "filesystem-stdio" and era == "modern":
        wanted["roots"] = "the server asks before there is any call, and a modern client is asked in calls only"
    if server == "legacy-stateless":
        wanted |= dict.fromkeys(STATELESS, "a server without sessions cannot")
    if front == "rialto-stdio" and client.startswith("ts2"):
        wanted |= dict.fromkeys(("task", "task_only"), "the package for tasks posts to a URL")
    return wanted | FRONT_SKIPS.get(front, {})


def environment(server: str, folder: str) -> dict[str, str]:
    """What a server finds in its environment besides what every child has."""
    wanted = {MARK[0]: MARK[1], "RIALTO_INTEROP_DIR": str(DIR)}
    if server == "memory-stdio":
        wanted["MEMORY_FILE_PATH"] = str(pathlib.Path(folder) / "memory.jsonl")
    return wanted


def client_environment(server: str) -> dict[str, str]:
    """The root that a client has to offer: one that exists, for a server that looks."""
    return {"INTEROP_ROOT": HERE.as_uri()} if server == "filesystem-stdio" else {}


def starter(binary: pathlib.Path, entry: dict, server: str, folder: str) -> tuple[str, pathlib.Path]:
    """A command that starts `rialto stdio` in front of one server and notes how it ends, and where it notes that."""
    own = pathlib.Path(tempfile.mkdtemp(dir=folder))
    config, notes, script = own / "mcp.json", own / "notes", own / "rialto"
    settings = {"servers": {server: SETTINGS[server]} if server in SETTINGS else {}}
    config.write_text(json.dumps({"mcpServers": {server: entry}, "rialto": settings}, indent=2))
    # A signal is for Rialto, and whoever uses force too early leaves no note of an end.
    lines = [
        "#!/bin/sh",
        f"export {'='.join(MARK)}",
        f'echo "begun $$" >>{notes}',
        "exec 3<&0",
        f"{binary} stdio {config} --mount {server} <&3 & pid=$!",
        "trap 'kill -TERM $pid' TERM",
        "wait $pid; code=$?",
        "while [ $code -gt 128 ] && kill -0 $pid 2>/dev/null; do wait $pid; code=$?; done",
        f'echo "ended $$ $code" >>{notes}',
    ]
    script.write_text("\n".join(lines) + "\n")
    script.chmod(0o755)
    return str(script), notes


def bridge(front: str, url: str, folder: str) -> str:
    """The command line that a client of stdio starts to reach this URL."""
    words = ["env", f"MCP_REMOTE_CONFIG_DIR={folder}", *map(str, FRONTS[front]), url, "--transport", "http-only", "--silent"]
    return " ".join(words + (["--protocol", "auto"] if front == "mcp-remote-auto" else []))
