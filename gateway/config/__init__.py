"""YAML, environment and secret files become typed, frozen settings."""
