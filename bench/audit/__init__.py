"""What the audit log costs and how quick it is: `python -m bench.audit [--events N]`.

Wants the servers' addresses in the environment: `python -m devstack run -- python -m bench.audit`, or `bin/manage`'s
against a running stack. Works in a database of its own, which it drops. One run measures everything, what is compared
by turns, so that a busy machine matters less. Prints each figure with its limit and, last, one line of JSON; exits
with 1 where a limit is not kept.
"""
