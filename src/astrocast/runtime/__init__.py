"""How stages run: in blocks, with progress, with a record of parameters."""
