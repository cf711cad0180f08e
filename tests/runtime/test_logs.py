"""Log lines: on standard output, at once, with time, service, process and level."""

from __future__ import annotations

import re
import subprocess
import sys


def test_a_log_line_names_time_service_process_and_level() -> None:
    program = (
        "import logging; from runtime.logs import configure; configure('gateway', 'INFO');"
        "logging.getLogger('x').debug('hidden'); logging.getLogger('x').info('shown %d', 1)"
    )
    run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3} gateway\[\d+\] INFO shown 1\n", run.stdout)
    assert run.stderr == ""
