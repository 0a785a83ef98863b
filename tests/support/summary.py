"""The count that the zoo prints at the end."""

from collections import Counter


def pytest_terminal_summary(terminalreporter):
    """Adds up what `sandwich.check` recorded, from all processes."""
    found = [
        value
        for reports in terminalreporter.stats.values()
        for report in reports
        for name, value in getattr(report, "user_properties", ())
        if name == "zoo" and report.when == "call"
    ]
    if not found:
        return
    verdicts = Counter(verdict for verdict, _ in found)
    precisions = Counter(dtype for _, dtype in found)
    terminalreporter.write_line(
        f"zoo: {len(found)} checks of healthy models, {verdicts['FAIL']} false alarms "
        f"({_list(verdicts)}; {_list(precisions)})"
    )


def _list(counts):
    return ", ".join(f"{n} {what}" for what, n in counts.most_common())
