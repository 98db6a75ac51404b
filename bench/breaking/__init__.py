"""What `bench/chaos.py` is made of.

    command    the options, and the run at random
    trial      the frame of every run: stack, people, faults, settling, evidence, verdict
    plan       which faults, when and for how long: decided by the seed alone
    faults     carries faults out
    parts      the stack's processes, and the ways to harm them
    proxy      stands between our processes and a server, and holds connections up
    spool      a temporary folder that can be filled
    kinds      what is sent: good, bad, infected, abandoned ...
    carrying   one upload as a client lives it that rides over faults
    crowd      many clients at once
    stage      the stack under all this
    settling   waits until everything has come to an end
    evidence   what API, buckets and database say in the end
    checks     compares that with what was sent: plain functions over plain data
    leftovers  processes that should have ended
    scenarios  one thing broken in one way
    report     what is told

Nothing in it imports the product: it looks from outside.
"""
