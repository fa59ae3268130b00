"""Upstreams: pools of servers, which of them is next, and how they do."""
