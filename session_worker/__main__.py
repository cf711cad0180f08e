"""`python -m session_worker`: one session worker, with settings from the environment (`config.py`)."""

from __future__ import annotations

import sys

from runtime.settings import load
from session_worker.config import WorkerSettings
from session_worker.service import main

if __name__ == "__main__":
    sys.exit(main(load(WorkerSettings, "session_worker")))
