"""How a command line is read, and what is said of one that cannot be."""

from __future__ import annotations

from difflib import get_close_matches
from itertools import zip_longest
from typing import Any, get_args

import typer
from typer.core import TyperCommand, TyperGroup, TyperOption

from pose_hrnet.cli.console import BAD_INPUT, print_error
from pose_hrnet.system.choices import Resume
from pose_hrnet.system.text import printable


class Commands(TyperGroup):
    """All commands; what is wrong with an option is said without words of pydantic's."""

    def invoke(self, ctx: Any) -> Any:
        """As of any group; Typer reads options with pydantic, and passes on what that says."""
        given = [*ctx._protected_args, *ctx.args]
        _refuse_empty(given)
        try:
            return super().invoke(ctx)
        except typer.BadParameter as error:
            from pose_hrnet.config.base import in_sentence

            error.message = printable(in_sentence(error.message))
            _say_what_is_missing(error)
            raise
        except Exception as error:
            _name_all_unknown(error, given)
            raise


def _refuse_empty(given: list[str]) -> None:
    """An empty value, of a variable that is not set, would be the current folder.

    Raises:
        typer.Exit: After a sentence, if there is one.
    """
    for before, word in zip(["", *given], given, strict=False):
        if not word or (word.startswith("--") and word.find("=") == len(word) - 1 > 2):
            name = word.removesuffix("=") or (before if before.startswith("-") else "an argument")
            print_error(f"{name} is empty; give a value, or . for this folder")
            raise typer.Exit(BAD_INPUT)


def _say_what_is_missing(error: Any) -> None:
    """The help on a missing option, where Typer would name its Python type."""
    if not hasattr(error, "param_type") or error.param is None:
        return  # not typer's MissingParameter, whose class has no public name
    error.param_hint = error.param.get_error_hint()
    error.param_type = error.param.param_type_name
    error.message, error.param = error.param.help or "", None


def _name_all_unknown(error: Any, given: list[str]) -> None:
    """Every unknown option of a command line, where the parser names the first and stops."""
    if not hasattr(error, "option_name") or getattr(error, "ctx", None) is None:
        return  # not typer's NoSuchOption, whose class has no public name
    known = {name for each in error.ctx.command.get_params(error.ctx) for name in each.opts}
    known |= {n for each in error.ctx.command.get_params(error.ctx) for n in each.secondary_opts}
    words = (word.partition("=")[0] for word in given if word.startswith("--") and word != "--")
    unknown = list(dict.fromkeys(word for word in words if word not in known))
    if len(unknown) > 1:
        error.message = f"No such options: {', '.join(unknown)}"
        near = (get_close_matches(word, known, n=1) for word in unknown)
        error.possibilities = list(dict.fromkeys(name for found in near for name in found))


class ResumeAlone(TyperCommand):
    """A command whose option --resume may stand alone, which means auto."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """As of any command; Typer knows no option whose value may be left out."""
        said = [
            "--resume=auto" if arg == "--resume" and after not in get_args(Resume) else arg
            for arg, after in zip_longest(args, args[1:])
        ]
        return super().parse_args(ctx, said)


class ShowsDefaults(TyperCommand):
    """A command whose options are test-time settings; its help takes the defaults from there."""

    def format_help(self, ctx: Any, formatter: Any) -> None:
        """As of any command, with the defaults that `EvaluateConfig` has."""
        from pose_hrnet.config.recipe import EvaluateConfig

        for option in self.params:
            field = EvaluateConfig.model_fields.get(option.name or "")
            if isinstance(option, TyperOption) and field and field.default is not None:
                option.default, option.show_default = field.default, True
        super().format_help(ctx, formatter)
