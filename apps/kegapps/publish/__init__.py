"""What is poured, told to the world."""
