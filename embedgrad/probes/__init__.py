"""What a gain is made of: format, knowledge, memory or luck. One module a probe, one JSON object a cell.

A probe is a function of a cell's files or of a loaded model; it prints nothing, reads no command line, and raises
:class:`~embedgrad.probes.applies.DoesNotApply` where it has nothing to say. What it found is shown by its namesake in
:mod:`embedgrad.reporting.probes`.
"""
