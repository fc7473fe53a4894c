"""Our pipeline among the others."""
