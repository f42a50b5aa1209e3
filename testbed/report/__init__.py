"""Result folders as a page for people, and as figures for papers.

``reading`` reads them; ``asking``, ``answers``, ``running`` and ``timeline`` make values of what
was read (``blocks``, ``figures``); ``plots`` and ``network`` draw such values as SVG, ``page``
writes HTML, ``paper`` the figures and data for a paper.  ``building`` puts these together.
"""
