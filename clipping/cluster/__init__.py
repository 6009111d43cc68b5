"""Ray: what a task asks for, which node takes it, what waits. The only user of Ray's API."""
