"""Write deploy/grafana/dashboards/*.json: a file an audience, a row a subject, a panel a question, in PromQL.

python tools/dashboard.py            write them
python tools/dashboard.py --check    exit code 1 when they are not what this would write
"""

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

TARGET = Path(__file__).resolve().parent.parent / "deploy" / "grafana" / "dashboards"
SOURCE = {"type": "prometheus", "uid": "prometheus"}
WIDTH = 24

# A row: its title, then panels with title, unit, kind, queries (legend → PromQL).
Panel = tuple[str, str, str, dict[str, str]]
Row = tuple[str, list[Panel]]


class Dashboard(NamedTuple):
    title: str
    rows: list[Row]
    variables: Mapping[str, str] = MappingProxyType({})
    """Name → the query that lists its values; the metrics must tell tenants (and sessions) apart."""


def quantiles(metric: str, by: str = "") -> dict[str, str]:
    """The median, 95th and 99th percentile of a histogram; ``by``: a selector."""
    return {
        f"{round(100 * share)} %": f"histogram_quantile({share}, sum by (le) (rate({metric}_bucket{by}[5m])))"
        for share in (0.5, 0.95, 0.99)
    }


def rate(metric: str, label: str, by: str = "") -> dict[str, str]:
    return {f"{{{{{label}}}}}": f"sum by ({label}) (rate({metric}{by}[5m]))"}


_TENANT, _SESSION = '{tenant="$tenant"}', '{tenant="$tenant",session="$session"}'

FLEET = Dashboard("PyWhatsWeb fleet", [
    ("Now", [
        ("Sessions that work", "short", "stat", {"": 'sum(whatsapp_sessions_active{status="WORKING"}) or vector(0)'}),
        ("Sessions that do not", "short", "stat", {
            "": 'sum(whatsapp_sessions_active{status!="WORKING"}) or vector(0)'}),
        ("Workers", "short", "stat", {"": 'sum(up{job="session-worker"})'}),
        ("Commands a second", "cps", "stat", {"": "sum(rate(pww_commands_total[5m]))"}),
        ("Outcomes unknown, last hour", "short", "stat", {
            "": 'sum(increase(whatsapp_messages_out_total{outcome="unknown"}[1h])) or vector(0)'}),
        ("Checks that fail", "short", "stat", {"": "sum(pww_check_failed)"}),
    ]),
    ("Commands in", [
        ("By outcome", "cps", "timeseries", rate("pww_commands_total", "outcome")),
        ("Rejected, by code", "cps", "timeseries", rate("pww_commands_total", "code", '{outcome="rejected"}')),
        ("Wait for the dispatcher", "s", "timeseries", quantiles("pww_command_wait_seconds")),
    ]),
    ("Messages", [
        ("Out, by outcome", "cps", "timeseries", rate("whatsapp_messages_out_total", "outcome")),
        ("In, by kind", "cps", "timeseries", rate("whatsapp_messages_in_total", "kind")),
        ("Until WhatsApp acknowledges", "s", "timeseries", quantiles("whatsapp_message_latency_seconds")),
        ("Errors, by code", "cps", "timeseries", rate("whatsapp_errors_total", "code")),
        ("Files that fail, by step and code", "cps", "timeseries", {
            "{{step}} {{code}}": "sum by (step, code) (rate(whatsapp_media_failures_total[5m]))"}),
        ("Files stored and sent", "s", "timeseries", {
            "{{to}}": "histogram_quantile(0.95, sum by (le, to) "
                "(rate(whatsapp_media_upload_duration_seconds_bucket[5m])))"}),
        ("Files fetched from WhatsApp", "cps", "timeseries", {"": "sum(rate(whatsapp_media_fetched_total[5m]))"}),
    ]),
    ("Sessions", [
        ("By status", "short", "timeseries", {
            "{{status}}": "sum by (status) (whatsapp_sessions_active)", "registered": "max(whatsapp_sessions_total)"}),
        ("By worker", "short", "timeseries", {"{{instance}}": "sum by (instance) (whatsapp_sessions_active)"}),
        ("Links opened again, by reason", "cps", "timeseries", rate("whatsapp_reconnections_total", "reason")),
        ("Taken, by why; events refused", "cps", "timeseries", {
            "{{why}}": "sum by (why) (rate(pww_takeovers_total[5m]))",
            "refused": "sum(rate(pww_epoch_refused_total[5m]))"}),
        ("Pauses before a link is opened again", "s", "timeseries", quantiles("whatsapp_reconnection_delay_seconds")),
    ]),
    ("Engines", [
        ("Memory", "bytes", "timeseries", {"{{engine}} {{instance}}": "pww_engine_resident_bytes"}),
        ("Memory a session", "bytes", "timeseries", {
            "{{engine}}": "sum by (engine) (pww_engine_resident_bytes) / (sum by (engine) (pww_engine_sessions) > 0)"}),
        ("CPU", "percentunit", "timeseries", {"{{engine}} {{instance}}": "rate(pww_engine_cpu_seconds[5m])"}),
        ("CPU a session", "percentunit", "timeseries", {
            "{{engine}}": "sum by (engine) (rate(pww_engine_cpu_seconds[5m])) "
                "/ (sum by (engine) (pww_engine_sessions) > 0)"}),
        ("Event loop late", "s", "timeseries", {"{{engine}} {{instance}}": "pww_engine_loop_lag_seconds"}),
        ("Credit in use; frames that wait for it", "short", "timeseries", {
            "{{engine}} units": "sum by (engine) (pww_engine_uncommitted_units)",
            "{{engine}} frames": "sum by (engine) (pww_engine_held_frames)"}),
        ("Held until it is durable", "s", "timeseries", quantiles("pww_gate_hold_seconds")),
    ]),
    ("Processes", [
        ("CPU", "percentunit", "timeseries", {"{{job}} {{instance}}": "rate(process_cpu_seconds_total[5m])"}),
        ("Memory (without sidecars)", "bytes", "timeseries", {"{{job}} {{instance}}": "process_resident_memory_bytes"}),
        ("Event loop late", "s", "timeseries", {"{{job}} {{instance}}": "pww_event_loop_lag_seconds"}),
        ("Open files", "short", "timeseries", {"{{job}} {{instance}}": "process_open_fds"}),
        ("Uptime", "s", "timeseries", {"{{job}} {{instance}}": "time() - process_start_time_seconds"}),
        ("Up", "short", "timeseries", {"{{job}} {{instance}}": "up"}),
        ("Disk in use", "percentunit", "timeseries", {"{{job}} {{instance}}": "pww_disk_used_ratio"}),
    ]),
    ("Gateway", [
        ("Requests, by status", "reqps", "timeseries", rate("pww_http_requests_total", "status")),
        ("Answered within", "s", "timeseries", quantiles("pww_http_request_seconds")),
        ("Open streams", "short", "timeseries", {
            "{{kind}}": "sum by (kind) (pww_http_streams)", "WebSockets": "sum(whatsapp_websocket_connections)"}),
        ("Readers cut for being slow, by kind", "cps", "timeseries", rate("pww_http_streams_cut_total", "kind")),
    ]),
])  # fmt: skip

QUEUES = Dashboard("PyWhatsWeb queues", [
    ("At the broker", [
        ("What waits, by stage", "short", "timeseries", {"{{stage}}": "sum by (stage) (pww_queue_messages)"}),
        ("The oldest of it", "s", "timeseries", {"{{stage}}": "max by (stage) (pww_queue_oldest_seconds)"}),
        ("Dead letters", "short", "stat", {"": 'sum(pww_queue_messages{stage="dead"})'}),
    ]),
    ("Into the database", [
        ("Events that wait", "short", "timeseries", {"": 'sum(pww_queue_messages{stage="record"})'}),
        ("How old events are when they are settled", "s", "timeseries", {
            "{{job}}": "histogram_quantile(0.95, sum by (le, job) (rate(pww_ingest_lag_seconds_bucket[5m])))"}),
        ("Transitions of the board", "cps", "timeseries", rate("pww_board_transitions_total", "kind")),
    ]),
    ("Webhooks", [
        ("Events that wait to be posted", "short", "timeseries", {
            "{{state}}": "sum by (state) (pww_webhook_waiting_events)"}),
        ("The oldest has been tried for", "s", "timeseries", {"": "max(pww_webhook_oldest_seconds)"}),
        ("Posts", "cps", "timeseries", rate("pww_webhook_posts_total", "outcome")),
        ("Webhooks posted for", "short", "timeseries", {"": "sum(pww_webhooks)"}),
    ]),
])  # fmt: skip

_TENANTS = {"tenant": "label_values(whatsapp_sessions_active, tenant)"}
TENANT = Dashboard("PyWhatsWeb tenant", [
    ("Tenant $tenant", [
        ("Sessions, by status", "short", "timeseries", {
            "{{status}}": f"sum by (status) (whatsapp_sessions_active{_TENANT})"}),
        ("Commands, by outcome", "cps", "timeseries", rate("pww_commands_total", "outcome", _TENANT)),
        ("Rejected, by code", "cps", "timeseries", rate(
            "pww_commands_total", "code", '{tenant="$tenant",outcome="rejected"}')),
        ("Messages out, by outcome", "cps", "timeseries", rate("whatsapp_messages_out_total", "outcome", _TENANT)),
        ("Messages in, by kind", "cps", "timeseries", rate("whatsapp_messages_in_total", "kind", _TENANT)),
        ("Errors, by code", "cps", "timeseries", rate("whatsapp_errors_total", "code", _TENANT)),
        ("What waits, by stage", "short", "timeseries", {"{{stage}}": f"sum by (stage) (pww_queue_messages{_TENANT})"}),
        ("The oldest of it", "s", "timeseries", {"{{stage}}": f"max by (stage) (pww_queue_oldest_seconds{_TENANT})"}),
        ("Transitions of the board", "cps", "timeseries", rate("pww_board_transitions_total", "kind", _TENANT)),
    ]),
], _TENANTS)  # fmt: skip

SESSION = Dashboard("PyWhatsWeb session", [
    ("Session $session of $tenant", [
        ("Status", "short", "timeseries", {"{{status}}": f"sum by (status) (whatsapp_sessions_active{_SESSION})"}),
        ("Its worker", "short", "timeseries", {
            "{{instance}}": f"sum by (instance) (whatsapp_sessions_active{_SESSION})"}),
        ("Messages out, by outcome", "cps", "timeseries", rate("whatsapp_messages_out_total", "outcome", _SESSION)),
        ("Messages in, by kind", "cps", "timeseries", rate("whatsapp_messages_in_total", "kind", _SESSION)),
        ("Links opened again, by reason", "cps", "timeseries", rate(
            "whatsapp_reconnections_total", "reason", _SESSION)),
        ("Errors, by code", "cps", "timeseries", rate("whatsapp_errors_total", "code", _SESSION)),
    ]),
], {**_TENANTS, "session": 'label_values(whatsapp_sessions_active{tenant="$tenant"}, session)'})  # fmt: skip

DASHBOARDS = {"fleet": FLEET, "queues": QUEUES, "tenant": TENANT, "session": SESSION}


def panels(rows: list[Row]) -> list[dict[str, Any]]:
    """Rows from top to bottom, the panels of one side by side."""
    made: list[dict[str, Any]] = []
    y = 0
    for title, row in rows:
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


def render(name: str) -> str:
    dashboard = DASHBOARDS[name]
    whole = {
        "uid": f"pywhatsweb-{name}",
        "title": dashboard.title,
        "tags": ["pywhatsweb"],
        "timezone": "browser",
        "schemaVersion": 39,
        "refresh": "10s",
        "time": {"from": "now-1h", "to": "now"},
        "templating": {
            "list": [
                {
                    "name": variable,
                    "type": "query",
                    "datasource": SOURCE,
                    "query": {"query": query, "refId": variable},
                    "refresh": 2,
                    "sort": 1,
                }
                for variable, query in dashboard.variables.items()
            ]
        },
        "panels": panels(dashboard.rows),
    }
    return json.dumps(whole, indent=1, ensure_ascii=False) + "\n"


def main() -> int:
    wanted = {TARGET / f"{name}.json": render(name) for name in DASHBOARDS}
    if "--check" in sys.argv[1:]:
        present = {path: path.read_text() for path in TARGET.glob("*.json")}
        return 0 if present == wanted else 1
    for path, text in wanted.items():
        path.write_text(text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
