"""What the gateway says to people, in their language."""
