"""What runs leave behind: records, the folder that holds them, provenance and statistics."""
