"""ask.py PROMETHEUS METRICS DASHBOARD: part of check.sh.

Puts the expressions of the dashboard, and of the alerts that Prometheus has loaded, to that Prometheus, and compares the metrics they name with those
in the file METRICS, as a relay shows them. Each expression of the dashboard must have data, and so must all that an alert selects. Prints what is
wrong, and then exits with 1.
"""

import json
import math
import re
import sys
import urllib.error
import urllib.parse
import urllib.request

BY_PROMETHEUS = {"up"}
VARIABLES = {"$instance": ".+", "$__rate_interval": "1m"}

# What an expression is made of besides operators: ranges, labels to group or match by, words, functions, numbers; and what it selects.
TOKEN = re.compile(
    r"\[[^]]*\]|\b(?:by|on|without|ignoring)\s*\([^)]*\)|\b(?:and|or|unless|bool)\b|\w+\b(?=\s*\(|\s+(?:by|without)\b)|\b[\d.]+\b"
    r"|(?P<selector>[a-zA-Z_:][\w:]*(?:\s*\{[^}]*\})?)"
)


def ask(path, **parameters):
    """Returns what Prometheus answers; ValueError says what it finds wrong."""
    try:
        with urllib.request.urlopen(f"{sys.argv[1]}/api/v1/{path}?{urllib.parse.urlencode(parameters)}", timeout=10) as answer:
            return json.load(answer)["data"]
    except urllib.error.HTTPError as error:
        raise ValueError(json.load(error)["error"]) from None


def lacks_data(expression):
    """Returns why an expression has no data, or nothing. NaN is what comes of a histogram in which nothing is counted."""
    try:
        samples = ask("query", query=expression)["result"]
    except ValueError as error:
        return str(error)
    return None if any(not math.isnan(float(s["value"][1])) for s in samples) else "no data"


def selectors(expression):
    return {m["selector"] for m in TOKEN.finditer(expression) if m["selector"]}


def of_dashboard(file):
    """The expressions of the panels, and what the variables are asked from."""
    with open(file, encoding="utf-8") as text:
        dashboard = json.load(text)
    found = [target["expr"] for panel in dashboard["panels"] for target in panel.get("targets", [])]
    for variable in dashboard["templating"]["list"]:
        if variable["type"] == "query":
            found.append(re.fullmatch(r"label_values\((.*), *\w+\)", variable["query"]["query"])[1])
    for name, value in VARIABLES.items():
        found = [expression.replace(name, value) for expression in found]
    return found


def of_alerts():
    return [rule["query"] for group in ask("rules")["groups"] for rule in group["rules"]]


def main():
    with open(sys.argv[2], encoding="utf-8") as text:
        known = BY_PROMETHEUS | set(re.findall(r"^\w+", text.read(), re.M))
    shown, alerts = of_dashboard(sys.argv[3]), of_alerts()
    selected = {s for expression in alerts for s in selectors(expression)}
    named = {re.match(r"[\w:]+", s)[0] for s in selected.union(*map(selectors, shown))}

    wrong = [f"the relay has no metric {name}" for name in sorted(named - known)]
    for expression in [*shown, *sorted(selected)]:
        if why := lacks_data(expression):
            wrong.append(f"{why}: {expression}")
    wrong += [f"there are no {what}" for what, found in (("alerts", alerts), ("panels", shown)) if not found]
    if wrong:
        sys.exit("\n".join(wrong))
    of_relay = {re.sub("_(bucket|sum|count)$", "", name) for name in named if name.startswith("blubbel_")}
    print(f"check: ok, {len(shown)} expressions of the dashboard and {len(selected)} selectors of {len(alerts)} alerts have data")
    print(f"check: {len(of_relay)} of the relay's own metrics are used, and not: {unused(of_relay, known)}")


def unused(used, known):
    own = {re.sub("_(bucket|sum|count)$", "", name) for name in known if name.startswith("blubbel_")}
    return ", ".join(sorted(own - used)) or "none"


main()
