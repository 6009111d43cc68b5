"""Prefect: the flow, its tasks, what is in flight, and what the run leaves in its API."""

# What a worker imports before its first task; it takes seconds, and so is begun early.
WORKER_MODULES = ("prefect_ray.task_runners", "clipping.orchestration.tasks")
