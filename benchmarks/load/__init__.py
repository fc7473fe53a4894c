"""`./run load`: customers who come, order, watch, change their minds and go, and what became of their orders."""
