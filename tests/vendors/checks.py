"""Runs every check against one running service: a line for each, exit status 1 when one fails.

What is checked is in the modules named `*_checks`; this file only collects, times and reports.
"""

import argparse
import signal
import sys
import time
import traceback
from collections.abc import Callable
from pathlib import Path

import bedrock_checks
import dynamodb_checks
import handoff_checks
import mcp_checks
import relay_checks
import rest_checks
import signature_checks
import telemetry_checks
import twiml_checks
from stage import Stage

MODULES = [
    signature_checks,
    twiml_checks,
    relay_checks,
    bedrock_checks,
    dynamodb_checks,
    mcp_checks,
    rest_checks,
    handoff_checks,
    telemetry_checks,
]
# A hang must fail, and fail before the time limit of whoever runs this.
LONGEST_RUN_S = 150


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("binaries", type=Path, help="the folder with `trunkline` and `trunkline-dev`")
    binaries = parser.parse_args().binaries.resolve()
    signal.signal(signal.SIGALRM, stop_late)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    signal.alarm(LONGEST_RUN_S)
    with Stage(binaries) as stage:
        failed = [check for module in MODULES for check in checks_of(module) if not passes(check, stage)]
        if failed:
            print(f"The service's own log ends:\n{stage.log_tail()}", file=sys.stderr)
    if failed:
        print(f"{len(failed)} vendor checks failed", file=sys.stderr)
    return 1 if failed else 0


def stop_late(*_: object) -> None:
    # Not an `Exception`: no check may take it for a failure of its own and let the next one start.
    sys.exit(f"the vendor checks took longer than {LONGEST_RUN_S} s")


def checks_of(module: object) -> list[Callable[[Stage], None]]:
    return [check for name, check in vars(module).items() if name.startswith("check_")]


def passes(check: Callable[[Stage], None], stage: Stage) -> bool:
    """One line: what holds, or what does not. Any exception is a failure; an unexpected one shows where."""
    what = (check.__doc__ or check.__name__).splitlines()[0]
    started = time.monotonic()
    try:
        check(stage)
    except AssertionError as failure:
        print(f"FAIL {what}\n     {failure}")
        return False
    except Exception:
        print(f"FAIL {what}\n{traceback.format_exc()}")
        return False
    print(f"ok   {what} ({time.monotonic() - started:.1f} s)", flush=True)
    return True


if __name__ == "__main__":
    sys.exit(main())
