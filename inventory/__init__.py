"""Inventory: reserves, releases and ships stock, all lines of an order or none."""
