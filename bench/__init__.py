"""Programs that measure, on a stack that runs: `./bin/stack up`, then `.venv/bin/python -m bench.NAME`."""
