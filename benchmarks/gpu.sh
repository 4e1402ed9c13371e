#!/usr/bin/env bash
# Speed and training of the paper's network on one GPU, within a time budget: benchmarks/gpu.py says what it does.
#
#     benchmarks/gpu.sh --images faces.npy --out DIR [other options of gpu.py]
#
# The package need not be installed, only what it imports. The interpreter is $PYTHON, by default python3.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
export PYTHONPATH="src${PYTHONPATH:+:$PYTHONPATH}" PYTHONUNBUFFERED=1
exec "${PYTHON:-python3}" benchmarks/gpu.py "$@"
