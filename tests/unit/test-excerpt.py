#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""What is shown of a test that failed: the lines that tell why, of each kind of test that there is."""
import os
import sys
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))))
import run  # noqa: E402
from excerpt import LINES, LONGEST, telling  # noqa: E402

NOISE = "".join(f"--- of the agent's log, line {i}\n" for i in range(200))


class ExcerptTest(unittest.TestCase):
    def test_each_kind(self):
        for line in ("FAILED  samples_arrive: not within 120 s: 1 x sample from devcloud",
                     "FAILED a_wrong_key_is_refused[tlsv1.3]: Failed(\"got result 0 unreachable\")",
                     "WRONG  mismatch:        TLS 1.1 only                     6.0 s  counted as unreachable",
                     "FAIL: test_killed (__main__.LinkTest.test_killed)",
                     "AssertionError: 3 != 4",
                     "waiting.Failure: not within 300 s: the peer",
                     "[  ERROR   ] --- 0x1 != 0x2",
                     "[  FAILED  ] test_large",
                     "==12==ERROR: AddressSanitizer: heap-use-after-free on address 0x602000000010",
                     "../src/base/buffer.c:12:3: runtime error: signed integer overflow",
                     "../src/base/buffer.c:12:3: error: unused variable 'x' [-Werror=unused-variable]",
                     "==34== Invalid read of size 4"):
            said = telling(f"ok      another (0.1 s)\n{line}\n{NOISE}1 passed, 1 failed\n")
            self.assertIn(line, said)
            self.assertEqual(said[-1], "1 passed, 1 failed")
            self.assertEqual(len(said), LINES)

    def test_bounds(self):
        said = telling("".join(f"FAILED  case_{i}: {'x' * 5000}\n" for i in range(100)))
        self.assertEqual(len(said), LINES)
        self.assertTrue(said[0].startswith("FAILED  case_0"))
        self.assertTrue(all(len(line) <= LONGEST + 2 for line in said))
        self.assertEqual(telling(""), [])
        self.assertEqual(telling("a\n\n \nb\n"), ["a", "b"])

    def test_field_row(self):
        """A row of `prove field` that is wrong, among many that are right."""
        row = "WRONG  mismatch:        TLS 1.1 only                      15.0 s  FAILED tls_1_1_only: Failed('counted as unreachable')"
        text = "right  a: b 1.0 s  as it should\n" * 30 + row + "\n" + "right  c: d 1.0 s  as it should\n" * 30
        self.assertIn(row, telling(text))

    def test_booted_systems(self):
        text = ("built\n\nbookworm\n  passed    1.0 s  installed: apt installs it\n  FAILED   50.0 s  watchdog: it is restarted\n"
                "      not within 120 s\n      second line\n  figures: {}\n\ntrixie\n  passed    1.0 s  watchdog: it is restarted\n"
                "  FAILED: it did not boot\n  figures: {}\n{}\n")
        self.assertEqual(run.reason_in(text, "bookworm", "watchdog").splitlines()[1:], ["      not within 120 s", "      second line"])
        self.assertEqual(run.reason_in(text, "trixie", "run"), "  FAILED: it did not boot\n")
        self.assertEqual(run.reason_in(text, "trixie", "watchdog"), text)

    def test_count(self):
        count = run.Count()
        count.add("a", "OK")
        count.add("b", "SKIP", "much\nno namespaces here\n")
        count.add("c", "FAIL", NOISE + "FAILED  x: why\n" + NOISE)
        both = run.Count()
        both.add_all(count)
        self.assertEqual((both.passed, both.skipped, both.failed), (1, ["b: no namespaces here"], ["c"]))
        self.assertIn("FAILED  x: why", both.why["c"])


if __name__ == "__main__":
    unittest.main()
