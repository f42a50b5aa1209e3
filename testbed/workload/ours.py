"""The kinds of workloads in this package."""

from __future__ import annotations

from typing import Final

from testbed.workload import bulk, http, reqres, rpc, stream, video
from testbed.workload.application import Http, Rpc, Video, Web
from testbed.workload.kinds import Kind, PairedKind
from testbed.workload.metrics import BOTH_WAYS, COMMON, CPU, PAGES, TIMED
from testbed.workload.spec import Bulk, Command, Iperf3, ReqRes, Stream

BULK: Final = PairedKind(
    spec=Bulk,
    job=bulk.Job,
    connect=bulk.connect,
    serve=bulk.serve,
    evaluate=bulk.evaluate,
    gives=(*COMMON, *BOTH_WAYS, *TIMED),
)
REQRES: Final = PairedKind(
    spec=ReqRes,
    job=reqres.Job,
    connect=reqres.connect,
    serve=reqres.serve,
    evaluate=reqres.evaluate,
    gives=("latency_p50", "latency_p99", "latency_max", "transactions", *COMMON),
)
STREAM: Final = PairedKind(
    spec=Stream,
    job=stream.Job,
    connect=stream.connect,
    serve=stream.serve,
    evaluate=stream.evaluate,
    gives=("block_delay_p50", "block_delay_p99", "block_delay_max", "blocks", *COMMON),
)
RPC: Final = PairedKind(
    spec=Rpc,
    job=rpc.Job,
    connect=rpc.connect,
    serve=rpc.serve,
    evaluate=rpc.evaluate,
    gives=(
        "response_time_p50",
        "response_time_p90",
        "response_time_p99",
        "response_time_p999",
        "response_time_max",
        "transactions",
        *COMMON,
    ),
)
HTTP: Final = PairedKind(
    spec=Http,
    job=http.Job,
    connect=http.connect,
    serve=http.serve,
    evaluate=http.evaluate,
    gives=(*PAGES, *COMMON),
)
WEB: Final = PairedKind(
    spec=Web,
    job=http.WebJob,
    connect=http.connect,
    serve=http.serve,
    evaluate=http.evaluate,
    gives=(*PAGES, *COMMON),
)
VIDEO: Final = PairedKind(
    spec=Video,
    job=video.Job,
    connect=video.connect,
    serve=video.serve,
    evaluate=video.evaluate,
    gives=("video_rate", "stall_time", "stalls", "rate_switches", "startup_delay", *COMMON),
)
IPERF3: Final = Kind(spec=Iperf3, gives=("goodput", "duration", "retransmits", *BOTH_WAYS, *CPU))
COMMAND: Final = Kind(spec=Command, gives=("duration", *CPU))
