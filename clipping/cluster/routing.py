"""Where a run's chunks may go: the cluster as it is now, and what its nodes turned out to be."""

import time
from dataclasses import dataclass, field, replace

from prefect.logging import get_run_logger

from clipping.cluster.encoder_survey import try_kinds
from clipping.cluster.placement import Placement, cpu_placement, gpu_placement, probe_request
from clipping.cluster.ray_session import survey
from clipping.cluster.resources import Cluster, Node, Request
from clipping.config.load import Settings
from clipping.errors import FailureKind, UsageError
from clipping.ffmpeg.encoder_check import Trial

__all__ = ["Routes"]

_SURVEY_EVERY = 3.0
# A node that is restarted, or that Ray has not counted yet, gets so many seconds at least.
_LEAST_WAIT = 10.0
_AUTOSCALER_WAIT = 300.0


@dataclass
class Routes:
    """The lanes of a run, kept up to date while nodes come and go.

    trials: how the test encode ended, by kind of node; unfit: ids of nodes whose encoder
    failed in a way that is final for the node, with the reason.
    """

    settings: Settings
    cluster: Cluster
    trials: dict[str, Trial] = field(default_factory=dict)
    unfit: dict[str, str] = field(default_factory=dict)
    _surveyed: float = field(default_factory=time.monotonic)
    _stranded_since: float | None = None
    _gave_up: bool = False

    # Before anything is submitted

    def check(self) -> None:
        """Compare what chunks will ask for with what there is; try the encoder on the GPUs.

        Raises UsageError if nothing can ever do the work.
        """
        probe = self.probe()
        if not self._may_come(probe):
            self.cluster.require(probe)
        gpu = gpu_placement(self.settings, self.cluster)
        if gpu is not None:
            self.trials = try_kinds(self.cluster, gpu.request, self.settings)
            self._leave_out_unfit()
        cpu = self.cpu()
        if cpu is None:
            self._require_gpu()
            return
        gpu = self.gpu()
        if gpu is not None and not gpu.slots and self.settings.nvenc_fallback:
            get_run_logger().warning(
                "No node can encode with %s (%s): %s does it all.",
                gpu.encoder, self._why_no_gpu(), cpu.encoder,
            )  # fmt: skip
        if (gpu is None or not gpu.slots) and not self._may_come(cpu.request):
            self.cluster.require(cpu.request)

    def _require_gpu(self) -> None:
        gpu = self.gpu()
        assert gpu is not None
        if gpu.slots or self._may_come(gpu.request):
            return
        instead = ", or choose --encoder auto or libx264"
        offered = gpu_placement(self.settings, self.cluster)
        if offered is None or not offered.slots:
            self.cluster.require(gpu.request, self._notes_of_unfit(), instead)
        raise UsageError(
            f"no node can run a chunk: {gpu.encoder} works on none of the nodes that offer"
            f" {offered.request if offered else gpu.request}: {self._why_no_gpu()}{instead[1:]}",
            next((t.kind for t in self.trials.values() if t.kind), FailureKind.NO_DEVICE),
        )

    def _may_come(self, request: Request) -> bool:
        return self.cluster.can_grow_to(request) or self.settings.node_wait_s > 0

    def _leave_out_unfit(self) -> None:
        for node in self.cluster.nodes:
            trial = self.trials.get(node.kind)
            if trial is not None and trial.works is False:
                self.unfit.setdefault(node.id, trial.text)

    def notes(self) -> list[str]:
        """A line for each kind of node that the encoder was tried on."""
        if not self.settings.may_use_nvenc:
            return []
        lines = [f"h264_nvenc on {kind}: {trial.text}" for kind, trial in self.trials.items()]
        return lines or ["h264_nvenc: no node offers what it asks for"]

    # While the run goes on

    def gpu(self, avoid: frozenset[str] = frozenset()) -> Placement | None:
        """The GPU's lane, for a chunk that must avoid these nodes as well."""
        return gpu_placement(self.settings, self.cluster, [*self.unfit, *avoid])

    def cpu(self, share: float = 0.0, *, beside_gpu: bool = False) -> Placement | None:
        """The CPU's lane; `beside_gpu` keeps the GPU's CPUs free."""
        gpu = self.gpu() if beside_gpu else None
        return cpu_placement(self.settings, self.cluster, gpu, share)

    @property
    def shares_work(self) -> bool:
        """Whether the CPUs take chunks that a GPU could have: `auto`, or no GPU is left."""
        if self.cpu() is None:
            return False
        gpu = self.gpu()
        return self.settings.encoder == "auto" or gpu is None or not gpu.slots

    def probe(self) -> Request:
        """What opening videos asks for."""
        return probe_request(self.settings, self.cluster)

    def coming(self) -> int:
        """How many NVENC chunks to submit although no node takes them, so that one is started."""
        gpu = self.gpu()
        if gpu is None or gpu.slots or self._gave_up:
            return 0
        known = self.cluster.can_grow_to(gpu.request)
        hoped = self.settings.node_wait_s > 0 and self.cpu() is None
        return self.settings.nb_streams_per_gpu if known or hoped else 0

    def look_again(self, *, now: bool = False) -> bool:
        """Survey the cluster if it is time; whether it was."""
        if not now and time.monotonic() - self._surveyed < _SURVEY_EVERY:
            return False
        before = {node.id: node for node in self.cluster.nodes}
        self.cluster = survey()
        self._surveyed = time.monotonic()
        after = {node.id: node for node in self.cluster.nodes}
        for gone in before.keys() - after.keys():
            node = before[gone]
            get_run_logger().warning("Node %s (%s) is gone.", node.host, node.kind)
        for new in after.keys() - before.keys():
            get_run_logger().info("Node %s (%s) has joined.", after[new].host, after[new].kind)
        self._leave_out_unfit()
        return True

    def exclude(self, node_id: str, reason: str) -> None:
        """Send no NVENC chunk to that node any more."""
        if node_id not in self.unfit:
            self.unfit[node_id] = reason
            host = next((n.host for n in self.cluster.nodes if n.id == node_id), node_id[:8])
            get_run_logger().warning("No more NVENC chunks for node %s: %s", host, reason)

    def host(self, node_id: str | None) -> str:
        """A node's name for a person."""
        return next((n.host for n in self.cluster.nodes if n.id == node_id), "a lost node")

    @property
    def has_gpu(self) -> bool:
        """Whether a live node's GPU takes chunks."""
        gpu = self.gpu()
        return gpu is not None and gpu.slots > 0

    @property
    def has_cpu(self) -> bool:
        """Whether a live node's CPU takes chunks."""
        cpu = self.cpu()
        return cpu is not None and self.cluster.slots(replace(cpu.request, cpus=1)) > 0

    @property
    def has_probe(self) -> bool:
        """Whether a live node can open videos."""
        return self.cluster.slots(self.probe()) > 0

    def is_served(self, request: Request, *, others_are_idle: bool = False) -> bool:
        """Whether a live node takes what asks for this, or is to come.

        others_are_idle: whether CPUs could have it, so that it need not wait for a GPU.
        """
        if self.cluster.slots(request):
            return True
        if self._gave_up or (request.gpus and others_are_idle and self.shares_work):
            return False
        return self._may_come(request)

    def stranded(self, *, stuck: bool) -> str | None:
        """Why chunks have waited long enough for a node; None while they may go on.

        stuck: whether there is work that no live node takes.
        """
        if not stuck:
            if self.has_gpu or (self.has_cpu and self.shares_work):
                self._stranded_since, self._gave_up = None, False
            return None
        now = time.monotonic()
        if self._stranded_since is None:
            self._stranded_since = now
            get_run_logger().warning("Work waits for %s.", self.wanted())
        limit = max(_LEAST_WAIT, self.settings.node_wait_s)
        if self.cluster.can_grow_to(self._asked()):
            limit = max(limit, _AUTOSCALER_WAIT)
        if now - self._stranded_since < limit:
            return None
        self._gave_up = True
        return (
            f"no node was left that can make it: it asks for {self._asked()}, the live nodes"
            f" have {self.cluster.offers()}"
            f"{self._notes_of_unfit()} (waited {limit:g} s)"
        )

    def wanted(self) -> str:
        """What chunks wait for, in words."""
        return f"a node with {self._asked()}"

    def _asked(self) -> Request:
        lane = self.gpu() or self.cpu()
        assert lane is not None
        return lane.request

    def _why_no_gpu(self) -> str:
        offered = gpu_placement(self.settings, self.cluster)
        if offered is None or not offered.slots:
            return f"the nodes have {self.cluster.offers()}"
        return "; ".join(dict.fromkeys(self._said(n) for n in self._offering()))

    def _offering(self) -> list[Node]:
        lane = gpu_placement(self.settings, self.cluster)
        return list(self.cluster.serving(lane.request).nodes) if lane else []

    def _said(self, node: Node) -> str:
        return f"{node.host}: {self.unfit.get(node.id, 'not tried')}"

    def _notes_of_unfit(self) -> str:
        said = dict.fromkeys(self._said(n) for n in self.cluster.nodes if n.id in self.unfit)
        return f" ({'; '.join(said)})" if said else ""
