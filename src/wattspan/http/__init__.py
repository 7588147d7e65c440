"""The HTTP servers that the metrics port and the API share."""
