"""Three hospitals that answer together, and can forget."""
