"""All parameters, each declared once with its unit, limits and meaning."""
