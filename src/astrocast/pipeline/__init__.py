"""A whole run from one validated configuration."""
