"""The kegerator programs and what they share."""
