"""How help texts look: options in sections, with the variable, default and limits that click cannot know itself."""

from collections.abc import Sequence
from typing import Any

import click
from click.types import OptionHelpExtra

TIME = click.DateTime(["%Y-%m-%d", "%Y-%m-%dT%H:%M:%S"])
"""A date or a time in UTC."""
TIME_METAVAR = "YYYY-MM-DD[THH:MM:SS]"


class DescribedOption(click.Option):
    """An option that is read elsewhere too: click shows its variable and default, but takes its value from neither.

    `shown_envvar`, `shown_default` and `shown_range` appear in the help; `section` is the heading it appears under.
    """

    def __init__(
        self,
        declarations: Sequence[str] | None = None,
        *,
        shown_envvar: str = "",
        shown_default: str = "",
        shown_range: str = "",
        section: str = "",
        **attributes: Any,
    ) -> None:
        super().__init__(declarations, **attributes)
        self.section = section
        self._shown: OptionHelpExtra = {}
        if shown_envvar:
            self._shown["envvars"] = (shown_envvar,)
        if shown_default:
            self._shown["default"] = shown_default
        if shown_range:
            self._shown["range"] = shown_range

    def get_help_extra(self, ctx: click.Context) -> OptionHelpExtra:
        return super().get_help_extra(ctx) | self._shown


class SectionedCommand(click.Command):
    """A command whose help lists options under the headings of their `section`, after those without one."""

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        sections: dict[str, list[tuple[str, str]]] = {"Options": []}
        for parameter in self.get_params(ctx):
            record = parameter.get_help_record(ctx)
            if record is not None and isinstance(parameter, click.Option):
                sections.setdefault(getattr(parameter, "section", "") or "Options", []).append(record)
        for title, records in sections.items():
            with formatter.section(title):
                formatter.write_dl(records)
