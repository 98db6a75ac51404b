"""The pages that people see in a browser. For now one: what this service is and where its doors are."""
