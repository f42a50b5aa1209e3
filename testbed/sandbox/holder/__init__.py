"""The process that owns a sandbox: its death, however it comes, is the clean-up."""
