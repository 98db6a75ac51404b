"""HTTP in, one call of the domain, JSON out."""
