"""Tests of what measures and breaks: what it claims to find, it finds."""
