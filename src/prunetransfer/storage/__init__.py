"""What a file is: artifacts, tables, their schemas and their provenance."""
