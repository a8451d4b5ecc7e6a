"""Holds one thread of another process, as a debugger does, until standard input ends.

    hold.py THREAD

Prints "held" once the thread stands still, or says why it cannot be held.
"""
import ctypes
import os
import sys

PTRACE_SEIZE, PTRACE_INTERRUPT, PTRACE_DETACH, WALL = 0x4206, 0x4207, 17, 0x40000000
libc = ctypes.CDLL(None, use_errno=True)
libc.ptrace.argtypes = [ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p]
thread = int(sys.argv[1])


def ptrace(request):
    if libc.ptrace(request, thread, None, None) < 0:
        sys.exit(f"ptrace: {os.strerror(ctypes.get_errno())}")


ptrace(PTRACE_SEIZE)
ptrace(PTRACE_INTERRUPT)
os.waitpid(thread, WALL)
print("held", flush=True)
sys.stdin.read()
ptrace(PTRACE_DETACH)
