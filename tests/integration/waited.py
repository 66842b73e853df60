# SPDX-License-Identifier: LGPL-2.1-or-later
"""How long processes have waited for a processor that others had. A time less this says the same on a busy machine as on an idle one."""
import contextlib
import glob


def family(pid):
    """It, and all that it and its children have started and that still run."""
    found, left = [], [pid]
    while left:
        found.append(left.pop())
        for path in glob.glob(f"/proc/{found[-1]}/task/*/children"):
            with contextlib.suppress(OSError), open(path, encoding="ascii") as f:  # it may have ended
                left.extend(int(word) for word in f.read().split())
    return found


def waited_by_thread(pids):
    """{(process, thread): milliseconds so far}; empty where the kernel does not tell."""
    found = {}
    for pid in pids:
        for path in glob.glob(f"/proc/{pid}/task/*/schedstat"):
            with contextlib.suppress(OSError), open(path, encoding="ascii") as f:  # a thread may have ended
                found[pid, int(path.split("/")[4])] = int(f.read().split()[1]) / 1e6
    return found


def waited(pids):
    """Milliseconds so far, of all threads of these; 0 where the kernel does not tell."""
    return sum(waited_by_thread(pids).values())
