"""Measurements that people can repeat; not tests, and not installed."""
