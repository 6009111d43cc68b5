"""Ray: what a task asks for, which node takes it, what waits. Nothing here knows Prefect."""
