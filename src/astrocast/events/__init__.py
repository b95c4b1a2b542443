"""The event table: its columns, columns of arrays, and decisions about events."""
