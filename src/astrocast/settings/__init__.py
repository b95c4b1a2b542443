"""Every parameter, declared once with its unit, its limits and its meaning."""
