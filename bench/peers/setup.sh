#!/usr/bin/env bash
# What `make bench` compares with, beside the product's own dependencies and never among them.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"
[ -x .venv/bin/python ] || "${PYTHON:-python3.11}" -m venv .venv
.venv/bin/python -m pip --disable-pip-version-check --quiet install -r requirements.txt
npm install --no-audit --no-fund --loglevel=error --no-package-lock
