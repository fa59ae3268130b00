"""The demo: a sample application and the accounts that may use it."""
