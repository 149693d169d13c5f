"""Write deploy/grafana/dashboards/fleet.json: a row a subject, a panel a question, PromQL over metrics that exist.

python tools/dashboard.py            write it
python tools/dashboard.py --check    exit code 1 when it is not what this would write
"""

import json
import sys
from pathlib import Path
from typing import Any

TARGET = Path(__file__).resolve().parent.parent / "deploy" / "grafana" / "dashboards" / "fleet.json"
SOURCE = {"type": "prometheus", "uid": "prometheus"}
WIDTH = 24

# Row, then panels: title, unit, kind, queries (legend → PromQL).
ROWS: list[tuple[str, list[tuple[str, str, str, dict[str, str]]]]] = [
    ("Now", [
        ("Sessions that work", "short", "stat", {"": 'sum(whatsapp_sessions_active{status="WORKING"}) or vector(0)'}),
        ("Sessions that do not", "short", "stat", {
            "": 'sum(whatsapp_sessions_active{status!="WORKING"}) or vector(0)'}),
        ("Workers", "short", "stat", {"": 'sum(up{job="session-worker"})'}),
        ("Commands a second", "cps", "stat", {"": "sum(rate(pww_commands_total[5m]))"}),
        ("Outcomes unknown, last hour", "short", "stat", {
            "": 'sum(increase(whatsapp_messages_out_total{outcome="unknown"}[1h])) or vector(0)'}),
        ("Commands wait (95 %)", "s", "stat", {
            "": "histogram_quantile(0.95, sum by (le) (rate(pww_command_wait_seconds_bucket[5m])))"}),
    ]),
    ("Commands in", [
        ("By outcome", "cps", "timeseries", {"{{outcome}}": "sum by (outcome) (rate(pww_commands_total[5m]))"}),
        ("Rejected, by code", "cps", "timeseries", {
            "{{code}}": 'sum by (code) (rate(pww_commands_total{outcome="rejected"}[5m]))'}),
        ("Wait for the dispatcher", "s", "timeseries", {
            "50 %": "histogram_quantile(0.5, sum by (le) (rate(pww_command_wait_seconds_bucket[5m])))",
            "95 %": "histogram_quantile(0.95, sum by (le) (rate(pww_command_wait_seconds_bucket[5m])))",
            "99 %": "histogram_quantile(0.99, sum by (le) (rate(pww_command_wait_seconds_bucket[5m])))"}),
    ]),
    ("Messages", [
        ("Out, by outcome", "cps", "timeseries", {
            "{{outcome}}": "sum by (outcome) (rate(whatsapp_messages_out_total[5m]))"}),
        ("In, by kind", "cps", "timeseries", {"{{kind}}": "sum by (kind) (rate(whatsapp_messages_in_total[5m]))"}),
        ("Until WhatsApp acknowledges", "s", "timeseries", {
            "50 %": "histogram_quantile(0.5, sum by (le) (rate(whatsapp_message_latency_seconds_bucket[5m])))",
            "95 %": "histogram_quantile(0.95, sum by (le) (rate(whatsapp_message_latency_seconds_bucket[5m])))",
            "99 %": "histogram_quantile(0.99, sum by (le) (rate(whatsapp_message_latency_seconds_bucket[5m])))"}),
        ("Errors, by code", "cps", "timeseries", {"{{code}}": "sum by (code) (rate(whatsapp_errors_total[5m]))"}),
    ]),
    ("Sessions", [
        ("By status", "short", "timeseries", {"{{status}}": "sum by (status) (whatsapp_sessions_active)"}),
        ("By worker", "short", "timeseries", {"{{instance}}": "sum by (instance) (whatsapp_sessions_active)"}),
        ("Links opened again, by reason", "cps", "timeseries", {
            "{{reason}}": "sum by (reason) (rate(whatsapp_reconnections_total[5m]))"}),
        ("Taken, by why; events refused", "cps", "timeseries", {
            "{{why}}": "sum by (why) (rate(pww_takeovers_total[5m]))",
            "refused": "sum(rate(pww_epoch_refused_total[5m]))"}),
    ]),
    ("Processes", [
        ("CPU", "percentunit", "timeseries", {"{{job}} {{instance}}": "rate(process_cpu_seconds_total[5m])"}),
        ("Memory (without sidecars)", "bytes", "timeseries", {"{{job}} {{instance}}": "process_resident_memory_bytes"}),
        ("Event loop late", "s", "timeseries", {"{{job}} {{instance}}": "pww_event_loop_lag_seconds"}),
        ("Open files", "short", "timeseries", {"{{job}} {{instance}}": "process_open_fds"}),
        ("Uptime", "s", "timeseries", {"{{job}} {{instance}}": "time() - process_start_time_seconds"}),
        ("Up", "short", "timeseries", {"{{job}} {{instance}}": "up"}),
    ]),
]  # fmt: skip


def panels() -> list[dict[str, Any]]:
    """Rows from top to bottom, the panels of one side by side."""
    made: list[dict[str, Any]] = []
    y = 0
    for title, row in ROWS:
        made.append({"type": "row", "title": title, "gridPos": {"x": 0, "y": y, "w": WIDTH, "h": 1}})
        y += 1
        columns = min(len(row), 6 if title == "Now" else 3)
        width, height = WIDTH // columns, 4 if title == "Now" else 8
        for number, panel in enumerate(row):
            place = {
                "x": number % columns * width,
                "y": y + number // columns * height,
                "w": width,
                "h": height,
            }
            made.append(_panel(*panel, place))
        y += -(-len(row) // columns) * height
    return [{"id": number, **panel} for number, panel in enumerate(made, 1)]


def _panel(
    title: str, unit: str, kind: str, queries: dict[str, str], place: dict[str, int]
) -> dict[str, Any]:
    return {
        "type": kind,
        "title": title,
        "datasource": SOURCE,
        "gridPos": place,
        "fieldConfig": {"defaults": {"unit": unit, "min": 0}, "overrides": []},
        "targets": [
            {
                "refId": chr(ord("A") + number),
                "datasource": SOURCE,
                "expr": query,
                "legendFormat": legend or "__auto",
            }
            for number, (legend, query) in enumerate(queries.items())
        ],
    }


def render() -> str:
    dashboard = {
        "uid": "pywhatsweb-fleet",
        "title": "PyWhatsWeb fleet",
        "tags": ["pywhatsweb"],
        "timezone": "browser",
        "schemaVersion": 39,
        "refresh": "10s",
        "time": {"from": "now-1h", "to": "now"},
        "panels": panels(),
    }
    return json.dumps(dashboard, indent=1, ensure_ascii=False) + "\n"


def main() -> int:
    if "--check" in sys.argv[1:]:
        return 0 if TARGET.exists() and TARGET.read_text() == render() else 1
    TARGET.write_text(render())
    return 0


if __name__ == "__main__":
    sys.exit(main())
