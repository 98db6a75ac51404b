"""The domain: what a document is, and the life of each of its versions."""
