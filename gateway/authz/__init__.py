"""The decision, served to other proxies."""
