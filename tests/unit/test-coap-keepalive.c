/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* When a silent session is pinged, a row each (see coap-script.h for the language). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "coap-script.h"

static const struct {
    const char *name;
    const char *script;
} rows[] = {
    {"silence is met by a ping, and a ping by silence", "keepalive 100000\n"
                                                        "reconnect\n"
                                                        "tick 3000 5000\n"
                                                        "> CON - m0\n"
                                                        "< RST - m0\n"
                                                        "tick 50000 100000\n"
                                                        "> CON - m1\n"
                                                        "< RST - m1\n"
                                                        "tick 50000 100000\n"
                                                        "> CON - m2\n"
                                                        "tick 1000 1500\n"
                                                        "> CON - m2\n"
                                                        "tick 2000 3000\n"
                                                        "> CON - m2\n"
                                                        "! suspect\n"
                                                        "disconnect\n"
                                                        "idle\n"},
    {"a young session's binding is made to last", "keepalive 100000\n"
                                                  "reconnect\n"
                                                  "+1900\n"
                                                  "get a\n"
                                                  "> CON GET m0 t0 path=a\n"
                                                  "< ACK 2.05 m0 t0\n"
                                                  "! 0 0 2.05\n"
                                                  "tick 1000 3100\n"
                                                  "> CON - m1\n"
                                                  "< RST - m1\n"
                                                  "tick 50000 100000\n"
                                                  "> CON - m2\n"
                                                  "< RST - m2\n"},
    {"a session that speaks after its first seconds needs no ping", "keepalive 100000\n"
                                                                    "reconnect\n"
                                                                    "+2100\n"
                                                                    "get a\n"
                                                                    "> CON GET m0 t0 path=a\n"
                                                                    "< ACK 2.05 m0 t0\n"
                                                                    "! 0 0 2.05\n"
                                                                    "tick 900 2900\n"
                                                                    "tick 47000 99100\n"
                                                                    "> CON - m1\n"
                                                                    "< RST - m1\n"},
    {"a request that the peer holds does not put the ping off", "keepalive 20000\n"
                                                                "reconnect\n"
                                                                "get a\n"
                                                                "> CON GET m0 t0 path=a\n"
                                                                "< ACK - m0\n"
                                                                "tick 3000 5000\n"
                                                                "> CON - m1\n"
                                                                "< RST - m1\n"
                                                                "tick 10000 20000\n"
                                                                "> CON - m2\n"
                                                                "< RST - m2\n"
                                                                "tick 10000 20000\n"
                                                                "> CON - m3\n"
                                                                "< RST - m3\n"
                                                                "< CON 2.05 p1 t0 =x\n"
                                                                "> ACK - p1\n"
                                                                "! 0 0 2.05 =x\n"},
    {"a request puts the ping off", "keepalive 100000\n"
                                    "reconnect\n"
                                    "tick 3000 5000\n"
                                    "> CON - m0\n"
                                    "< RST - m0\n"
                                    "+44000\n"
                                    "get a\n"
                                    "> CON GET m1 t0 path=a\n"
                                    "< ACK 2.05 m1 t0\n"
                                    "! 0 0 2.05\n"
                                    "tick 1000 51000\n"
                                    "tick 1000 99000\n"
                                    "> CON - m2\n"
                                    "< ACK - m2\n"},
};

static void test_rules(void **state)
{
    for (size_t i = 0; i < ELEMENTSOF(rows); i++)
        script_run(rows[i].name, rows[i].script);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rules),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
