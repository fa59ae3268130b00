"""An authentication gateway: it signs people in, decides every request, and tells applications who is there."""
