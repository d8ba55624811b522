"""What is poured, shown on character displays."""
