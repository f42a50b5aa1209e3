"""Tables of what RFCs ask for: which code does it, which tests show it, or why it is left out.

``rfc*.yaml`` has a row for each requirement.  Tests name the rows they show by the marker
``requirement``.  ``scripts/rfc-tables`` writes the pages of both.
"""
