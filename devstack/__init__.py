"""The whole stack on one machine: real servers and the Procfile's processes under one supervisor.

It starts other programs and imports none of our other packages, so that what it runs is what any other runner would
run.
"""
