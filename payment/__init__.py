"""Payment: authorizes, captures and voids through a card gateway."""
