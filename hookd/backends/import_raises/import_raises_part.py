"""What is left of an import that failed."""
