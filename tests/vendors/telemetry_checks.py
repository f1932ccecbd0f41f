"""What the service tells a collector, read with OpenTelemetry's own messages; and the files under infra/."""

import http.server
import json
import os
import re
import signal
import subprocess
import threading
from pathlib import Path

import requests
import yaml
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.metrics.v1.metrics_pb2 import AggregationTemporality, Metric
from opentelemetry.proto.trace.v1.trace_pb2 import Span
from twilio.request_validator import RequestValidator

from relay_call import RelayCall
from stage import (
    REPOSITORY,
    REQUEST_LIMIT_S,
    START_LIMIT_S,
    STOP_LIMIT_S,
    TABLE,
    Stage,
    expect,
    free_ports,
    poll,
)

INFRA = REPOSITORY / "infra"
AUTH_TOKEN = "telemetry-auth-token"
# What the caller of these checks says and is; a collector must not hear of it.
CALLER = "+14155557391"
WORDS = "I would like some marmalade"


class Collector:
    """An OTLP/HTTP receiver, as a context manager."""

    def __enter__(self) -> "Collector":
        self.bodies: dict[str, list[bytes]] = {"/v1/metrics": [], "/v1/traces": []}
        bodies = self.bodies

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                known = self.path in bodies and self.headers["Content-Type"] == "application/x-protobuf"
                if known:
                    bodies[self.path].append(body)
                self.send_response(200 if known else 400)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_: object) -> None:
                pass

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    def metrics(self) -> dict[str, Metric]:
        """The measurements of the last request, by name."""
        request = ExportMetricsServiceRequest.FromString(self.bodies["/v1/metrics"][-1])
        scopes = [scope for resource in request.resource_metrics for scope in resource.scope_metrics]
        return {metric.name: metric for scope in scopes for metric in scope.metrics}

    def resource(self) -> dict[str, str]:
        request = ExportMetricsServiceRequest.FromString(self.bodies["/v1/metrics"][-1])
        attributes = request.resource_metrics[0].resource.attributes
        return {attribute.key: attribute.value.string_value for attribute in attributes}

    def spans(self) -> list[Span]:
        parsed = [ExportTraceServiceRequest.FromString(body) for body in self.bodies["/v1/traces"]]
        scopes = [
            scope for each in parsed for resource in each.resource_spans for scope in resource.scope_spans
        ]
        return [span for scope in scopes for span in scope.spans]


class Service:
    """`trunkline serve` by itself, with the table and the models of a stage, as a context manager."""

    def __init__(self, stage: Stage, **settings: str) -> None:
        (port,) = free_ports(1)
        self.url = f"http://127.0.0.1:{port}"
        self._program = stage.program("trunkline")
        self._environment = os.environ | {
            "AWS_REGION": "us-east-1",
            "AWS_ENDPOINT_URL_DYNAMODB": stage.dynamodb_url,
            "AWS_ENDPOINT_URL_BEDROCK_RUNTIME": stage.bedrock_url,
            "TABLE_NAME": TABLE,
            "STACK_USE_CASE": "albert-einstein",
            "MODEL_IDENTIFIER": "us.amazon.nova-lite-v1:0",
            "TWILIO_AUTH_TOKEN": AUTH_TOKEN,
            "PUBLIC_URL": self.url,
            "LISTEN_ADDRESS": "127.0.0.1",
            "PORT": str(port),
            **settings,
        }

    def __enter__(self) -> "Service":
        self._process = subprocess.Popen(
            [self._program, "serve"],
            env=self._environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
        )
        if not poll(self._is_ready, START_LIMIT_S):
            self._process.kill()
            raise TimeoutError(f"the service was not ready within {START_LIMIT_S} s")
        return self

    def __exit__(self, *_: object) -> None:
        self._process.send_signal(signal.SIGTERM)
        try:
            expect("the service's exit status", 0, self._process.wait(timeout=STOP_LIMIT_S))
        finally:
            self._process.kill()
            self._process.wait()

    def sign(self, url: str, params: dict | None = None) -> dict[str, str]:
        return {"X-Twilio-Signature": RequestValidator(AUTH_TOKEN).compute_signature(url, params or {})}

    def call_webhook(self, path: str, params: dict[str, str]) -> requests.Response:
        url = self.url + path
        return requests.post(url, data=params, headers=self.sign(url, params), timeout=REQUEST_LIMIT_S)

    def _is_ready(self) -> bool:
        try:
            return requests.get(f"{self.url}/ready", timeout=REQUEST_LIMIT_S).ok
        except requests.ConnectionError:
            return False


def check_export(stage: Stage) -> None:
    """opentelemetry-proto reads what a service sends to its collector; it holds no words and no numbers"""
    settings = {
        "OTEL_SERVICE_NAME": "voice",
        "OTEL_RESOURCE_ATTRIBUTES": "deployment.environment.name=checks,team=a%2Cb",
        "OTEL_METRIC_EXPORT_INTERVAL": "3600000",
    }
    with Collector() as collector:
        with Service(stage, OTEL_EXPORTER_OTLP_ENDPOINT=collector.url, **settings) as service:
            with RelayCall(service, From=CALLER) as call:
                call.ask(WORDS)
            requests.post(f"{service.url}/twiml", data={"CallSid": "CA0"}, timeout=REQUEST_LIMIT_S)
        metrics = collector.metrics()
        resource = collector.resource()
        exported = b"".join(body for bodies in collector.bodies.values() for body in bodies)
        spans = collector.spans()
    for name, value in {
        "service.name": "voice",
        "team": "a,b",
        "deployment.environment.name": "checks",
    }.items():
        expect(name, value, resource.get(name))
    assert resource["service.instance.id"], "a task has an id of its own"
    for name, value in {"calls.answered": 1, "signatures.refused": 1, "sessions.started": 1}.items():
        counter = metrics[f"trunkline.{name}"].sum
        assert counter.is_monotonic, f"{name} only grows"
        cumulative = AggregationTemporality.AGGREGATION_TEMPORALITY_CUMULATIVE
        expect(f"temporality of {name}", cumulative, counter.aggregation_temporality)
        expect(name, value, counter.data_points[0].as_int)
    expect("calls.active", 0, metrics["trunkline.calls.active"].gauge.data_points[0].as_int)
    expect("unit of the lag", "s", metrics["trunkline.journal.lag"].unit)
    for secret in (CALLER[1:], WORDS, "marmalade"):
        assert secret.encode() not in exported, f"{secret!r} was exported"
    for span in spans:
        expect("trace id", call.call_sid[2:], span.trace_id.hex())
        assert span.start_time_unix_nano <= span.end_time_unix_nano, f"{span.name} ends before it begins"


def check_collector_configuration(_: Stage) -> None:
    """The collector's pipelines name what it defines, and no receiver or exporter stands idle"""
    collector = yaml.safe_load((INFRA / "collector.yaml").read_text())
    pipelines = collector["service"]["pipelines"]
    expect("signals", {"metrics", "traces"}, set(pipelines))
    for kind in ("receivers", "processors", "exporters"):
        used = {name for pipeline in pipelines.values() for name in pipeline[kind]}
        expect(kind, set(collector[kind]), used)


def check_compose(_: Stage) -> None:
    """The compose file pins its images, mounts what is there, and is reached from this machine alone"""
    services = yaml.safe_load((INFRA / "docker-compose.observability.yml").read_text())["services"]
    for name, service in services.items():
        assert re.fullmatch(r"[\w./-]+:v?\d+\.\d+\.\d+", service["image"]), (
            f"{service['image']} is not pinned"
        )
        for volume in service.get("volumes", []):
            assert (INFRA / volume.split(":")[0]).exists(), f"{name} mounts {volume}, which is not there"
        for port in service.get("ports", []):
            assert port.startswith("127.0.0.1:"), f"{name} is reached from elsewhere at {port}"
        for other in service.get("depends_on", []):
            assert other in services, f"{name} waits for {other}, which is not there"
    prometheus = yaml.safe_load((INFRA / "prometheus" / "prometheus.yml").read_text())
    for target in prometheus["scrape_configs"][0]["static_configs"][0]["targets"]:
        assert target.split(":")[0] in services, f"nobody is at {target}"
    for path in prometheus["rule_files"]:
        assert (INFRA / "prometheus" / Path(path).name).exists(), f"{path} is not there"


def check_alerts(_: Stage) -> None:
    """Every alert has an expression, a severity, a sentence, and where to look"""
    groups = yaml.safe_load((INFRA / "prometheus" / "alerts.yml").read_text())["groups"]
    rules = [rule for group in groups for rule in group["rules"]]
    names = [rule["alert"] for rule in rules]
    expect("names of alerts", sorted(set(names)), sorted(names))
    for rule in rules:
        assert rule["expr"] and rule["labels"]["severity"] in ("page", "ticket"), f"{rule} is incomplete"
        expect(f"annotations of {rule['alert']}", {"summary", "look"}, set(rule["annotations"]))


def check_dashboard(_: Stage) -> None:
    """The dashboard's panels have ids of their own, do not overlap, and ask data sources that exist"""
    provisioning = INFRA / "grafana" / "provisioning"
    sources = yaml.safe_load((provisioning / "datasources" / "datasources.yml").read_text())["datasources"]
    known = {source["uid"] for source in sources}
    panels = json.loads((INFRA / "grafana" / "dashboards" / "trunkline.json").read_text())["panels"]
    ids = [panel["id"] for panel in panels]
    expect("ids of panels", sorted(set(ids)), sorted(ids))
    taken = set()
    for panel in panels:
        place = panel["gridPos"]
        cells = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert place["x"] + place["w"] <= 24 and not cells & taken, f"{panel['title']} overlaps"
        taken |= cells
        for target in panel.get("targets", []):
            assert target["datasource"]["uid"] in known, f"{panel['title']} asks {target['datasource']}"
