"""What the queries cost that look for what stands still: `python -m bench.reconcile [--versions N] [--explain]`.

Makes a database of its own and fills it (`rows`, with the indexes built last: `bare`), as a busy house has it on a bad
day. Then it calls what really asks (`asking`): whole sweeps, the scrub's looks, pages of the list, a scrape, an upload
that begins. Every query that any of these makes is timed where it is made (`watch`), and told under the function that
makes it. What they write is rolled back, so that each round finds the same.

Prints each query's p50 and p95 with its limit and, last, one line of JSON; exits with 1 where a limit is not kept.
"""
