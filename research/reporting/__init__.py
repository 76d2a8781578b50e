"""Report pages, the results table, the gallery, and the report of a sweep."""
