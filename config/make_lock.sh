#!/usr/bin/env bash
# Writes config/requirements.lock anew: the newest releases that pyproject.toml allows in production, each with the
# hashes of all its files, for every Python and machine that the bot runs on. Look at the difference before you keep it.
set -euo pipefail
cd "$(dirname "$0")/.."
tools=$(mktemp -d)
trap 'rm -rf "$tools"' EXIT
python3 -m venv "$tools"
"$tools/bin/pip" install -q uv
# Without --upgrade what is in the file already would stay.
"$tools/bin/uv" pip compile pyproject.toml --quiet --upgrade --universal --python-version 3.11 --generate-hashes \
  --no-header --no-annotate --no-emit-index-url --no-emit-find-links --output-file "$tools/lock" >/dev/null
{
  echo '# Made by config/make_lock.sh. pip install --require-hashes -r config/requirements.lock && pip install --no-deps .'
  cat "$tools/lock"
} >config/requirements.lock
