"""The SQL in ``sql/``: templates of Jinja2 over the kinds of events, whose names were checked as settings were read."""

from __future__ import annotations

from functools import cache
from importlib.resources import files
from typing import Any

from jinja2 import Environment, FunctionLoader, StrictUndefined, Template


@cache
def _template(name: str) -> Template:
    environment = Environment(
        loader=FunctionLoader(lambda each: files("sql").joinpath(each).read_text(encoding="utf-8")),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        autoescape=False,
    )
    return environment.get_template(name)


def statements(name: str, **context: Any) -> list[str]:
    """The statements that a file gives with this context, without comments. Raises for a variable it does not have."""
    lines = _template(name).render(context).splitlines()
    code = "\n".join(line for line in [line.partition("--")[0].rstrip() for line in lines] if line)
    return [statement.strip() for statement in code.split(";") if statement.strip()]
