"""Result folders: the records of runs, the environment, and their storage."""
