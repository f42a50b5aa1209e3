"""The traces of runs: records, the folder that holds them, provenance and statistics."""
