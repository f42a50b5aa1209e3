"""Reports of result folders: HTML pages, and figures for papers.

``reading`` reads the folders. ``asking``, ``answers``, ``running`` and ``timeline`` convert their
contents to values (``blocks``, ``figures``). ``plots`` and ``network`` draw these values as SVG,
``page`` writes HTML, and ``paper`` writes the figures for a paper. ``building`` combines these
modules.
"""
