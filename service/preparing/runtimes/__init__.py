"""The runtimes that a network can be served by, one file each; `service.preparing.prepare` measures which one is fastest.

None of them is imported before it is needed: torch alone takes seconds and half a gigabyte.
"""
