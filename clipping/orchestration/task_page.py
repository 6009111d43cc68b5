"""What a task run's own page in Prefect shows beside its log: name and tags."""

from collections.abc import Iterable

from prefect.context import TaskRunContext

__all__ = ["tell_on_page"]


def tell_on_page(name: str, attempt: int, tags: Iterable[str]) -> None:
    """Have the running task's page say where it ran, and which attempt it is if it is a retry.

    Set here, they travel with the next change of state. Given to Prefect when the task is
    submitted, tags would cost each task a request for the concurrency limits that they may have.
    """
    context = TaskRunContext.get()
    if context is None:  # called as a plain function
        return
    run = context.task_run
    run.tags = sorted({*run.tags, *(tag for tag in tags if tag)})
    if attempt > 1:
        run.name = f"{name}, attempt {attempt}"
