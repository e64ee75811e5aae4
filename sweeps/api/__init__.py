"""The service's REST API."""
