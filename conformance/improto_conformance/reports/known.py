"""Known failures (a baseline), so that new failures can be told from old ones.

    [[known]]
    check = "SEND-3/to-the-sender"
    how = ["json", "json-*"]                     # codecs and cuts; all of them if this line is left out
    reason = "ann was to receive Message(conversation='#', sender='ann', text='hello') and received nothing"
    note = "will be repaired with the new dispatcher"     # anything; it is kept

A failure is known only for its reason: the complaint without the parts that differ from run to run.  An entry that fits no
failure any more is stale.
"""

import json
import re
import tomllib
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, Final

from improto.cli.text import escaped
from improto.errors import UsageError
from improto_conformance.results import Result, Verdict
from improto_conformance.transcripts.complaints import cut
from improto_conformance.transcripts.transcript import Transcript

__all__ = ["Known", "fixed", "judged", "read", "reason", "stale", "write"]

_HEAD: Final = """\
# Known failures.  `improto check … --known-failing FILE` fails if anything else fails, or if one of these no longer does.
# `--fix` rewrites this file and keeps each `note`.
"""

_LONG: Final = 300


@dataclass(frozen=True, slots=True)
class Known:
    """One known failure."""

    check: str
    reason: str
    how: tuple[str, ...] = ("*",)
    note: str = ""

    def covers(self, result: Result) -> bool:
        """Tell whether it is about the check of a result, in its codec and cut."""
        return self.check == result.check.name and any(fnmatchcase(result.how, way) for way in self.how)


def reason(complaint: str, seen: Transcript) -> str:
    """Give a complaint without ids, numbers, users of others and long texts."""
    text = escaped(complaint)
    if seen.suffix:
        text = text.replace(seen.suffix, "")
    for id in seen.conversations:
        text = text.replace(ascii(id), "'#'")
    text = re.sub(r"\{[^{}]*\}", "{…}", text)  # rosters and lists, which depend on who is online
    text = re.sub(r"(.)\1{9,}", r"\1…", text)
    return cut(re.sub(r"[A-Za-z0-9_-]*[0-9][A-Za-z0-9_-]*", "#", text), _LONG)


def judged(result: Result, entries: Sequence[Known]) -> Result:
    """Give a result; a failure becomes known if each of its complaints is known."""
    known = {entry.reason for entry in entries if entry.covers(result)}
    if result.verdict is Verdict.FAILED and _reasons(result) <= known:
        return replace(result, verdict=Verdict.KNOWN)
    return result


def stale(entries: Sequence[Known], results: Sequence[Result], names: Collection[str]) -> Iterator[str]:
    """Name the checks whose entries fit no failure any more, each once; `names`: all checks that exist."""
    yield from dict.fromkeys(
        f"{each.check}: there is no such check any more" for each in entries if each.check not in names
    )
    for result in results:
        if any(entry.covers(result) and not _still(entry, result) for entry in entries):
            now = "passes now" if result.verdict is Verdict.PASSED else "fails for another reason now"
            yield f"{result.check.name} [{result.how}]: {now}"


def fixed(entries: Sequence[Known], results: Sequence[Result], names: Collection[str]) -> list[Known]:
    """Give entries for exactly the failures of a run, and keep the entries for checks that did not run."""
    kept: list[Known] = []
    for entry in entries:
        how = tuple(way for way in entry.how if _holds(replace(entry, how=(way,)), results))
        if how and entry.check in names:
            kept.append(replace(entry, how=how))
    new: dict[tuple[str, str], list[str]] = {}
    for result in results:
        if result.verdict in (Verdict.FAILED, Verdict.KNOWN):
            known = {entry.reason for entry in kept if entry.covers(result)}
            for why in sorted(_reasons(result) - known):
                new.setdefault((result.check.name, why), []).append(result.how)
    for (check, why), hows in new.items():
        ran = [result.how for result in results if result.check.name == check]
        everywhere = len(ran) > 1 and set(ran) == set(hows)
        note = next((entry.note for entry in entries if (entry.check, entry.reason) == (check, why)), "")
        kept.append(Known(check, why, ("*",) if everywhere else tuple(hows), note))
    return kept


def read(path: Path) -> list[Known]:
    """Read a baseline; UsageError, which names the place, if it is not one."""
    try:
        found: Any = tomllib.loads(path.read_text(encoding="utf-8"))
        return [_entry(table) for table in found.get("known", [])]
    except OSError as error:
        raise UsageError(f"--known-failing {path}: {error.strerror}; write it with --fix") from None
    except TypeError:  # a table with other keys, or a value that is none
        raise UsageError(
            f"--known-failing {path}: each [[known]] has a check and a reason, and may have how and note; "
            "correct it, or write it anew with --fix"
        ) from None
    except ValueError as error:
        raise UsageError(
            f"--known-failing {path}: {error}; correct it, or write it anew with --fix"
        ) from None


def write(entries: Sequence[Known]) -> str:
    """Give the text of a baseline."""
    return _HEAD + "".join(f"\n[[known]]\n{''.join(_lines(entry))}" for entry in entries)


def _reasons(result: Result) -> set[str]:
    return {reason(complaint, result.transcript) for complaint in result.complaints}


def _still(entry: Known, result: Result) -> bool:
    """Tell whether an entry about a result still holds."""
    if result.verdict in (Verdict.FAILED, Verdict.KNOWN):
        return entry.reason in _reasons(result)
    return result.verdict is not Verdict.PASSED  # for any other verdict, nothing is known about it


def _holds(entry: Known, results: Sequence[Result]) -> bool:
    return all(_still(entry, result) for result in results if entry.covers(result))


def _entry(table: Any) -> Known:
    entry: Any = Known(**table)  # of whatever types
    texts = (entry.check, entry.reason, entry.note, *entry.how)
    if isinstance(entry.how, str) or not all(isinstance(text, str) for text in texts):
        raise ValueError(
            f"in the entry for {entry.check!a}, how is not a list of texts, or another value is not a text"
        )
    return Known(entry.check, entry.reason, tuple(entry.how), entry.note)


def _lines(entry: Known) -> Iterator[str]:
    yield f"check = {_text(entry.check)}\n"
    if entry.how != ("*",):
        yield f"how = [{', '.join(map(_text, entry.how))}]\n"
    yield f"reason = {_text(entry.reason)}\n"
    if entry.note:
        yield f"note = {_text(entry.note)}\n"


def _text(text: str) -> str:
    """Write a text as TOML, whose basic strings are JSON's but for U+007F."""
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")
