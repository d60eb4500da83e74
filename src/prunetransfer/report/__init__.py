"""What a study says in words: its answer, its summary, its pages."""
