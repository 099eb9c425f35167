"""Second floor: due events leave in batches, and every call to Meta ends in one of a few outcomes."""
