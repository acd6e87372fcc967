#!/usr/bin/env bash
# Regenerates the locks: the newest releases that pyproject.toml allows, each with the hashes of all its files, for
# every Python and machine that the bot runs on. Review the diff before you commit it.
#   config/requirements.lock  what production installs
#   config/build.lock         what builds the bot's own package (pip would fetch it without hashes)
#   config/factor.lock        production and the extra "factor"
#   config/sandbox.lock       production and the extra "sandbox"
#   scripts/release.lock      what writes a release's bill of materials
set -euo pipefail
cd "$(dirname "$0")/.."
tools=$(mktemp -d)
trap 'rm -rf "$tools"' EXIT
python3 -m venv "$tools"
"$tools/bin/pip" install -q uv

# lock FILE REQUIREMENTS [OPTION ...]: without --upgrade what is in a file already would stay.
lock() {
  local file=$1
  shift
  "$tools/bin/uv" pip compile "$@" --quiet --upgrade --universal --python-version 3.11 --generate-hashes \
    --no-header --no-annotate --no-emit-index-url --no-emit-find-links --output-file "$tools/lock" >/dev/null
  {
    echo '# Made by config/make_lock.sh, for pip install --require-hashes -r.'
    cat "$tools/lock"
  } >"$file"
  rm "$tools/lock"
}

"$tools/bin/python" - >"$tools/build.in" <<'PYTHON'
import tomllib
with open("pyproject.toml", "rb") as project:
    print(*tomllib.load(project)["build-system"]["requires"], sep="\n")
PYTHON
echo 'cyclonedx-bom>=7,<8' >"$tools/release.in"
lock config/requirements.lock pyproject.toml
lock config/build.lock "$tools/build.in"
# What is installed into one environment is at one release in both locks.
lock config/sandbox.lock pyproject.toml --extra sandbox --constraint config/requirements.lock --constraint config/build.lock
lock config/factor.lock pyproject.toml --extra factor --constraint config/requirements.lock --constraint config/sandbox.lock
lock scripts/release.lock "$tools/release.in" --constraint config/build.lock
