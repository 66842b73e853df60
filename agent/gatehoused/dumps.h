/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Whether the agent's memory may be looked at from outside. Called once at start, before the first key is read; logs
 * what it has to say. The agent links dumps.c. Only the proof that no key stays in memory (tests/prove/wiped.py) links
 * another file instead, into a program of its own name that is never installed. */

void dumps_forbid(void);
