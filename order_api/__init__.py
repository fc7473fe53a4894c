"""The order API: takes orders over REST, and tells from the facts it hears where each one stands."""
