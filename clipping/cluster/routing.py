"""Where a run's chunks may go: the cluster as it is now, and what its nodes turned out to be.

Nothing here asks Ray: the cluster is handed in whenever somebody has looked at it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

from clipping.cluster.placement import Placement, cpu_placement, gpu_placement, probe_request
from clipping.cluster.resources import Cluster, Node, Request
from clipping.config.run_config import RunConfig
from clipping.errors import FailureKind, UsageError
from clipping.ffmpeg.encoder_check import Trial
from clipping.ffmpeg.encoders import AUTO, DEFAULT, gpu_encoder, is_auto

__all__ = ["Routes", "Say"]

# A node that is restarted, or that Ray has not counted yet, gets so many seconds at least.
_LEAST_WAIT = 10.0
_AUTOSCALER_WAIT = 300.0

# A test encode on one node of each kind that offers what a request asks for, by kind.
TryKinds = Callable[[Cluster, Request, RunConfig], Mapping[str, Trial]]
# Takes a line for the run's log.
Say = Callable[[str], None]


def _to_nobody(_text: str) -> None:
    pass


@dataclass
class Routes:
    """The placements of a run, kept up to date while nodes come and go.

    warn, inform: take lines for the run's log.
    trials: how the test encode ended, by kind of node; unfit: ids of nodes whose encoder
    failed in a way that is final for the node, with the reason.
    """

    config: RunConfig
    cluster: Cluster
    warn: Say = _to_nobody
    inform: Say = _to_nobody
    trials: Mapping[str, Trial] = field(default_factory=dict[str, Trial])
    unfit: dict[str, str] = field(default_factory=dict[str, str])
    _stranded_since: float | None = None
    _gave_up: bool = False

    # Before anything is submitted

    def check(
        self, try_kinds: Callable[[Cluster, Request, RunConfig], Mapping[str, Trial]]
    ) -> None:
        """Compare what chunks will ask for with what there is; try the encoder on the GPUs.

        Raises UsageError if nothing can ever do the work.
        """
        probe = self.probe()
        if not self._may_come(probe):
            self.cluster.require(probe)
        gpu = gpu_placement(self.config, self.cluster)
        if gpu is not None:
            self.trials = try_kinds(self.cluster, gpu.request, self.config)
            self._leave_out_unfit()
        cpu = self.cpu()
        if cpu is None:
            self._require_gpu()
            return
        gpu = self.gpu()
        if gpu is not None and not gpu.slots and self.config.execution.nvenc_fallback:
            self.warn(
                f"No node can encode with {gpu.encoder} ({self._why_no_gpu()}):"
                f" {cpu.encoder} does it all."
            )
        if (gpu is None or not gpu.slots) and not self._may_come(cpu.request):
            self.cluster.require(cpu.request)

    def _require_gpu(self) -> None:
        gpu = self.gpu()
        assert gpu is not None
        if gpu.slots or self._may_come(gpu.request):
            return
        instead = f", or choose --encoder {AUTO} or {DEFAULT.name}"
        offered = gpu_placement(self.config, self.cluster)
        if offered is None or not offered.slots:
            self.cluster.require(gpu.request, self._notes_of_unfit(), instead)
        raise UsageError(
            f"no node can run a chunk: {gpu.encoder} works on none of the nodes that offer"
            f" {offered.request if offered else gpu.request}: {self._why_no_gpu()}{instead[1:]}",
            next((t.kind for t in self.trials.values() if t.kind), FailureKind.NO_DEVICE),
        )

    def _may_come(self, request: Request) -> bool:
        return self.cluster.can_grow_to(request) or self.config.execution.node_wait_s > 0

    def _leave_out_unfit(self) -> None:
        for node in self.cluster.nodes:
            trial = self.trials.get(node.kind)
            if trial is not None and trial.works is False:
                self.unfit.setdefault(node.id, trial.text)

    def notes(self) -> list[str]:
        """A line for each kind of node that the encoder was tried on."""
        row = gpu_encoder(self.config.recipe.encoder)
        if row is None:
            return []
        lines = [f"{row.name} on {kind}: {trial.text}" for kind, trial in self.trials.items()]
        return lines or [f"{row.name}: no node offers what it asks for"]

    # While the run goes on

    def gpu(self, avoid: frozenset[str] = frozenset()) -> Placement | None:
        """The GPU's placement, for a chunk that must avoid these nodes as well."""
        return gpu_placement(self.config, self.cluster, [*self.unfit, *avoid])

    def cpu(
        self, share: float = 0.0, useful: int = 1, *, beside_gpu: bool = False
    ) -> Placement | None:
        """The CPU's placement, for a chunk that can use `useful` CPUs and is `share` of the work.

        beside_gpu: keep the GPU's CPUs free.
        """
        gpu = self.gpu() if beside_gpu else None
        return cpu_placement(self.config, self.cluster, gpu, share, useful)

    @property
    def shares_work(self) -> bool:
        """Whether the CPUs take chunks that a GPU could have: `auto`, or no GPU is left."""
        if self.cpu() is None:
            return False
        gpu = self.gpu()
        return is_auto(self.config.recipe.encoder) or gpu is None or not gpu.slots

    def probe(self) -> Request:
        """What opening videos asks for."""
        return probe_request(self.config, self.cluster)

    def coming(self) -> int:
        """How many GPU chunks to submit although no node takes them, so that one is started."""
        gpu = self.gpu()
        if gpu is None or gpu.slots or self._gave_up:
            return 0
        known = self.cluster.can_grow_to(gpu.request)
        hoped = self.config.execution.node_wait_s > 0 and self.cpu() is None
        return self.config.execution.nb_streams_per_gpu if known or hoped else 0

    def update(self, cluster: Cluster) -> None:
        """Take in the cluster as it is now."""
        before = {node.id: node for node in self.cluster.nodes}
        after = {node.id: node for node in cluster.nodes}
        self.cluster = cluster
        for gone in before.keys() - after.keys():
            self.warn(f"Node {before[gone].host} ({before[gone].kind}) is gone.")
        for new in after.keys() - before.keys():
            self.inform(f"Node {after[new].host} ({after[new].kind}) has joined.")
        self._leave_out_unfit()

    def exclude(self, node_id: str, reason: str) -> None:
        """Send no GPU chunk to that node any more."""
        if node_id not in self.unfit:
            self.unfit[node_id] = reason
            host = next((n.host for n in self.cluster.nodes if n.id == node_id), node_id[:8])
            self.warn(f"No more NVENC chunks for node {host}: {reason}")

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

    def stranded(self, now: float, *, stuck: bool) -> str | None:
        """Why chunks have waited long enough for a node; None while they may go on.

        now: seconds on any clock; stuck: whether there is work that no live node takes.
        """
        if not stuck:
            if self.has_gpu or (self.has_cpu and self.shares_work):
                self._stranded_since, self._gave_up = None, False
            return None
        if self._stranded_since is None:
            self._stranded_since = now
            self.warn(f"Work waits for {self.wanted()}.")
        limit = max(_LEAST_WAIT, self.config.execution.node_wait_s)
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
        placement = self.gpu() or self.cpu()
        assert placement is not None
        return placement.request

    def _why_no_gpu(self) -> str:
        offered = gpu_placement(self.config, self.cluster)
        if offered is None or not offered.slots:
            return f"the nodes have {self.cluster.offers()}"
        return "; ".join(dict.fromkeys(self._said(n) for n in self._offering()))

    def _offering(self) -> list[Node]:
        offered = gpu_placement(self.config, self.cluster)
        return list(self.cluster.serving(offered.request).nodes) if offered else []

    def _said(self, node: Node) -> str:
        return f"{node.host}: {self.unfit.get(node.id, 'not tried')}"

    def _notes_of_unfit(self) -> str:
        said = dict.fromkeys(self._said(n) for n in self.cluster.nodes if n.id in self.unfit)
        return f" ({'; '.join(said)})" if said else ""
