"""An example of a package that adds one of everything to testbed."""
