"""Who is at the taps: tags and their readers."""
