"""The process that owns a sandbox. Its end for any reason cleans up the sandbox."""
