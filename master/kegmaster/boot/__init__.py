"""Starting at boot: what each init system is given, as data.

Knows init systems. Must not know the disk: `services` writes and removes what a plan names. (`detect` alone looks at
the machine, and decides nothing.)
"""
