"""The judge: recomputes from MySQL what the pipeline must have found, by a path that shares no code with it."""
