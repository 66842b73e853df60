# SPDX-License-Identifier: LGPL-2.1-or-later
"""Cases that run beside one another, each with an ExitStack of its own to put clients and servers on: they mostly wait.

    cases = Cases()

    @cases.case
    def a_put_is_answered(stack): …

    @cases.needing("gnutls-serv")
    def a_put_to_gnutls_is_answered(stack): …                # where that is installed

    @cases.each("tlsv1.2", "tlsv1.3")
    def a_put_is_answered_over(stack, version): …            # a_put_is_answered_over[tlsv1.2], …

    if __name__ == "__main__":
        cases.main()                                          # all, or those whose names begin with an argument
"""
import concurrent.futures
import contextlib
import shutil
import sys

SKIPPED = 77


class Cases:
    def __init__(self):
        self.shown, self.hidden, self.missing = {}, {}, {}

    def case(self, function):
        self.shown[function.__name__] = (function, ())
        return function

    def each(self, *values, name=str):
        """One for each of the values, called name(value)."""
        def add(function):
            self.shown.update({f"{function.__name__}[{name(v)}]": (function, (v,)) for v in values})
            return function
        return add

    def needing(self, program):
        """Only where it is installed."""
        def add(function):
            if shutil.which(program):
                return self.case(function)
            self.missing[function.__name__] = program
            return function
        return add

    def only_if_named(self, function):
        """For another case to run in a process of its own."""
        self.hidden[function.__name__] = (function, ())
        return function

    def chosen(self, wanted):
        named = {name: case for name, case in self.hidden.items() if name in wanted}
        return {**named, **{name: case for name, case in self.shown.items()
                            if not wanted or any(name.startswith(w) for w in wanted)}}

    def main(self, workers=12, missing=None):
        """Ends the program. `missing`: what is not installed, so that nothing can be tried."""
        if missing:
            print(f"not installed: {missing}")
            sys.exit(SKIPPED)
        chosen, failed = self.chosen(sys.argv[1:]), 0
        skipped = [name for name in self.missing if not sys.argv[1:] or any(name.startswith(w) for w in sys.argv[1:])]
        for name in skipped:
            print(f"skipped {name}: {self.missing[name]} is not installed")
        if skipped and not chosen:
            sys.exit(SKIPPED)
        with concurrent.futures.ThreadPoolExecutor(workers) as pool:
            running = {pool.submit(run, *case): name for name, case in chosen.items()}
            for future in concurrent.futures.as_completed(running):
                error = future.exception()
                failed += error is not None
                print(f"{'FAILED' if error else 'ok    '} {running[future]}{f': {error!r}' if error else ''}", flush=True)
        print(f"{len(chosen) - failed} passed, {failed} failed")
        sys.exit(1 if failed or not chosen else 0)


def run(function, arguments):
    with contextlib.ExitStack() as stack:
        function(stack, *arguments)
