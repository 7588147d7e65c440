"""What goes in and out as JSON, one file a noun. Times are RFC 3339, UTC; units are in the names."""
