"""The pages that people see in a browser: what this service is, and setting a password by a link."""
