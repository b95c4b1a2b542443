"""The event table: its schema, and the way between table and label volume."""
