"""The findings for a person, and as one JSON object."""

from collections import Counter
from collections.abc import Sequence
from typing import Final

from relay.doctor.finding import Finding, Status
from relay.doctor.subject import Subject
from relay.event.records import Json

MARKS: Final = {Status.OK: "✓", Status.WARN: "!", Status.FAIL: "✗", Status.SKIPPED: "-"}
WORDS: Final = {
    Status.OK: "well",
    Status.WARN: "to look at",
    Status.FAIL: "failed",
    Status.SKIPPED: "not looked at",
}
INDENT: Final = " " * 4


def has_failed(findings: Sequence[Finding]) -> bool:
    return any(finding.status is Status.FAIL for finding in findings)


def report_text(subject: Subject, findings: Sequence[Finding]) -> list[str]:
    """Lines for a terminal: what is well takes one, what is not says why it matters and what to do."""
    lines = [f"Counterfoil doctor: site {subject.site.key}, relay {subject.relay}", ""]
    for finding in findings:
        lines += _lines(finding)
    return [*lines, "", _sum(findings)]


def report_json(subject: Subject, findings: Sequence[Finding]) -> Json:
    counts = Counter(finding.status for finding in findings)
    return {
        "site": subject.site.key,
        "relay": subject.relay,
        "url": subject.url,
        "well": not has_failed(findings),
        "counts": {status.value: counts[status] for status in Status},
        "checks": list(findings),
    }


def _lines(finding: Finding) -> list[str]:
    head = f"{MARKS[finding.status]} {finding.status:<7} {finding.check:<13} {_printable(finding.about)}"
    if finding.status is Status.OK:
        return [f"{head}: {_printable(finding.seen)}"]
    told = {"saw": finding.seen, "why": finding.why, "fix": finding.fix or ""}
    if finding.status is Status.SKIPPED:
        del told["why"]
    return [head, *(f"{INDENT}{name}: {_printable(text)}" for name, text in told.items())]


def _sum(findings: Sequence[Finding]) -> str:
    counts = Counter(finding.status for finding in findings)
    return ", ".join(f"{counts[status]} {word}" for status, word in WORDS.items() if counts[status]) + "."


def _printable(text: str) -> str:
    """A page or a server may have put anything into it; a terminal gets letters only."""
    return "".join(letter if letter.isprintable() else " " for letter in text)
