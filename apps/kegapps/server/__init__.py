"""What a core says to a Kegbot Server over HTTP, and what the answers mean: every generation, no store."""
