"""Shipping: books parcels with a carrier, and decides every cancellation."""
