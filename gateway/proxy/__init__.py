"""Requests that are allowed, on their way to an upstream and back."""
