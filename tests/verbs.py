"""`segmenter`, as typed at a prompt, in the process of the test: what it prints and how it ends are the same.

That a process of its own does the same, loads nothing in vain and ends in order is what `tests/cli` is about. What goes
on beside a test in threads prints, too: there the command needs a process of its own.
"""

from __future__ import annotations

import io
import logging
import os
from collections.abc import Mapping
from contextlib import chdir, redirect_stderr, redirect_stdout
from pathlib import Path
from subprocess import CompletedProcess

import pytest
import structlog

from segmenter import cli


def run(*words: str, environment: Mapping[str, str] | None = None, folder: Path | None = None) -> CompletedProcess[str]:
    """The command with these words, no variables of ours but those given, and a folder (default: the present one)."""
    ours = {name: value for name, value in (environment or {}).items() if name.startswith("SEGMENTER_")}
    out, err = _stream("strict"), _stream("backslashreplace")
    root, structured = logging.getLogger(), structlog.get_config()
    handlers, level = root.handlers[:], root.level
    with pytest.MonkeyPatch.context() as patched, chdir(folder or "."), redirect_stdout(out), redirect_stderr(err):
        for name in [name for name in os.environ if name.startswith("SEGMENTER_")]:
            patched.delenv(name)
        for name, value in ours.items():
            patched.setenv(name, value)
        try:
            code = cli.run(words)
        finally:
            structlog.configure(**structured)
            root.handlers[:], root.level = handlers, level
    return CompletedProcess(words, code, _written(out), _written(err))


def _stream(errors: str) -> io.TextIOWrapper:
    return io.TextIOWrapper(io.BytesIO(), encoding="utf-8", errors=errors, newline="", write_through=True)


def _written(stream: io.TextIOWrapper) -> str:
    stream.seek(0)
    return stream.read()
