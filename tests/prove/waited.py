# SPDX-License-Identifier: LGPL-2.1-or-later
"""How long processes have waited for a processor that others had. A time less this says the same on a busy machine as on an idle one."""
import contextlib
import glob


def waited(pids):
    """Milliseconds so far, of all threads of these; 0 where the kernel does not tell."""
    total = 0
    for path in (path for pid in pids for path in glob.glob(f"/proc/{pid}/task/*/schedstat")):
        with contextlib.suppress(OSError), open(path, encoding="ascii") as f:  # a thread may have ended
            total += int(f.read().split()[1])
    return total / 1e6
