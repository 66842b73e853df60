/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The rules of RFC 7641 as a client keeps them, a row each (see coap-script.h for the language), and the order of
 * notifications. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include "coap/observe.h"

#include <cmocka.h>

#include "coap-script.h"

#define REGISTERED                                                                                                     \
    "observe a\n"                                                                                                      \
    "> CON GET m0 t0 obs=0 path=a\n"                                                                                   \
    "< ACK 2.05 m0 t0 obs=5 =one\n"                                                                                    \
    "! o 0 2.05 obs=5 =one\n"

static const struct {
    const char *name;
    const char *script;
} rows[] = {
    {"notifications, confirmable or not", REGISTERED "< NON 2.05 p1 t0 obs=6 =two\n"
                                                     "! o 0 2.05 obs=6 =two\n"
                                                     "< CON 2.05 p2 t0 obs=7 =three\n"
                                                     "> ACK - p2\n"
                                                     "! o 0 2.05 obs=7 =three\n"},
    {"repeated and late notifications", REGISTERED "< CON 2.05 p1 t0 obs=7 =three\n"
                                                   "> ACK - p1\n"
                                                   "! o 0 2.05 obs=7 =three\n"
                                                   "< CON 2.05 p1 t0 obs=7 =three\n"
                                                   "> ACK - p1\n"
                                                   "< CON 2.05 p2 t0 obs=6 =two\n"
                                                   "> ACK - p2\n"
                                                   "< NON 2.05 p3 t0 obs=7 =three\n"
                                                   "< NON 2.05 p4 t0 obs=16777000 =old\n"},
    {"numbers mean nothing after 128 s", REGISTERED "< NON 2.05 p1 t0 obs=9 ma=1000 =nine\n"
                                                    "! o 0 2.05 obs=9 ma=1000 =nine\n"
                                                    "+128001\n"
                                                    "< NON 2.05 p2 t0 obs=3 =three\n"
                                                    "! o 0 2.05 obs=3 =three\n"},
    {"registered by a notification whose ACK was lost", "observe a\n"
                                                        "> CON GET m0 t0 obs=0 path=a\n"
                                                        "< CON 2.05 p1 t0 obs=5 =one\n"
                                                        "> ACK - p1\n"
                                                        "! o 0 2.05 obs=5 =one\n"
                                                        "tick 65000 75000\n"
                                                        "> CON GET m1 t0 obs=0 path=a\n"},
    {"Max-Age passed: registered again, same token", REGISTERED "< NON 2.05 p1 t0 obs=6 ma=30 =two\n"
                                                                "! o 0 2.05 obs=6 ma=30 =two\n"
                                                                "tick 35000 45000\n"
                                                                "> CON GET m1 t0 obs=0 path=a\n"
                                                                "< ACK 2.05 m1 t0 obs=1 =again\n"
                                                                "! o 0 2.05 obs=1 =again\n"
                                                                "tick 65000 75000\n"
                                                                "> CON GET m2 t0 obs=0 path=a\n"},
    {"reconnected: registered again, another token, the old one unknown", REGISTERED "reconnect\n"
                                                                                     "> CON GET m1 t1 obs=0 path=a\n"
                                                                                     "< CON 2.05 p1 t0 obs=6 =two\n"
                                                                                     "> RST - p1\n"
                                                                                     "< ACK 2.05 m1 t1 obs=0 =new\n"
                                                                                     "! o 0 2.05 obs=0 =new\n"
                                                                                     "reconnect\n"
                                                                                     "> CON GET m2 t2 obs=0 path=a\n"
                                                                                     "reconnect\n"
                                                                                     "> CON GET m3 t3 obs=0 path=a\n"},
    {"made while there is no session", "disconnect\n"
                                       "observe a\n"
                                       "reconnect\n"
                                       "> CON GET m0 t0 obs=0 path=a\n"},
    {"an error ends it for the server: told, and tried again ever later", REGISTERED "< CON 4.04 p1 t0 =gone\n"
                                                                                     "> ACK - p1\n"
                                                                                     "! o 0 4.04 =gone\n"
                                                                                     "< NON 2.05 p2 t0 obs=6\n"
                                                                                     "> RST - p2\n"
                                                                                     "tick 60000 60000\n"
                                                                                     "> CON GET m1 t1 obs=0 path=a\n"
                                                                                     "< ACK 4.04 m1 t1\n"
                                                                                     "! o 0 4.04\n"
                                                                                     "tick 120000 120000\n"
                                                                                     "> CON GET m2 t2 obs=0 path=a\n"
                                                                                     "< ACK 4.04 m2 t2 ma=999\n"
                                                                                     "! o 0 4.04 ma=999\n"
                                                                                     "tick 999000 999000\n"
                                                                                     "> CON GET m3 t3 obs=0 path=a\n"
                                                                                     "< RST - m3\n"
                                                                                     "! o ECONNRESET\n"
                                                                                     "tick 480000 480000\n"
                                                                                     "> CON GET m4 t4 obs=0 path=a\n"
                                                                                     "< ACK 2.05 m4 t4 obs=1 =back\n"
                                                                                     "! o 0 2.05 obs=1 =back\n"
                                                                                     "< NON 5.00 p3 t4\n"
                                                                                     "! o 0 5.00\n"
                                                                                     "tick 60000 60000\n"
                                                                                     "> CON GET m5 t5 obs=0 path=a\n"},
    {"a server that does not observe", "observe a\n"
                                       "> CON GET m0 t0 obs=0 path=a\n"
                                       "< ACK 2.05 m0 t0 =one\n"
                                       "! o 0 2.05 =one\n"
                                       "tick 60000 60000\n"
                                       "> CON GET m1 t1 obs=0 path=a\n"},
    {"4.29 to a registration holds requests too", "observe a\n"
                                                  "> CON GET m0 t0 obs=0 path=a\n"
                                                  "< ACK 4.29 m0 t0 ma=5\n"
                                                  "! o 0 4.29 ma=5\n"
                                                  "get b\n"
                                                  "tick 5000 5000\n"
                                                  "> CON GET m1 t1 path=b\n"},
    {"Echo to a registration: the token stays", "observe a\n"
                                                "> CON GET m0 t0 obs=0 path=a\n"
                                                "< ACK 4.01 m0 t0 echo=07\n"
                                                "> CON GET m1 t0 obs=0 path=a echo=07\n"
                                                "< ACK 2.05 m1 t0 obs=5 =one\n"
                                                "! o 0 2.05 obs=5 =one\n"},
    {"cancelled: told to the server, and forgotten", REGISTERED "unobserve\n"
                                                                "> CON GET m1 t0 obs=1 path=a\n"
                                                                "< ACK 2.05 m1 t0 =one\n"
                                                                "< CON 2.05 p1 t0 obs=6 =two\n"
                                                                "> RST - p1\n"
                                                                "idle\n"},
    {"cancelled before the answer", "observe a\n"
                                    "> CON GET m0 t0 obs=0 path=a\n"
                                    "unobserve\n"
                                    "> CON GET m1 t0 obs=1 path=a\n"
                                    "reconnect\n"
                                    "idle\n"},
    {"after reconnecting, the peer's message ids are new", REGISTERED "< CON 2.05 p1 t0 obs=6 =two\n"
                                                                      "> ACK - p1\n"
                                                                      "! o 0 2.05 obs=6 =two\n"
                                                                      "reconnect\n"
                                                                      "> CON GET m1 t1 obs=0 path=a\n"
                                                                      "< ACK 2.05 m1 t1 obs=0 =new\n"
                                                                      "! o 0 2.05 obs=0 =new\n"
                                                                      "< CON 2.05 p1 t1 obs=1 =newer\n"
                                                                      "> ACK - p1\n"
                                                                      "! o 0 2.05 obs=1 =newer\n"},
    {"cancelled while it waits its turn", "get b\n"
                                          "> CON GET m0 t0 path=b\n"
                                          "observe a\n"
                                          "unobserve\n"
                                          "< ACK 2.05 m0 t0\n"
                                          "! 0 0 2.05\n"
                                          "idle\n"},
    {"cancelled before it was sent", "disconnect\n"
                                     "observe a\n"
                                     "unobserve\n"
                                     "reconnect\n"
                                     "idle\n"},
    {"a notification in blocks", REGISTERED "< CON 2.05 p1 t0 etag=01 obs=6 b2=0/1/0 :16@0\n"
                                            "> ACK - p1\n"
                                            "> CON GET m1 t1 path=a b2=1/0/0\n"
                                            "< ACK 2.05 m1 t1 etag=01 b2=1/0/0 :9@16\n"
                                            "! o 0 2.05 obs=6 :25@0\n"},
    {"a newer notification while the blocks are fetched", REGISTERED "< NON 2.05 p1 t0 etag=01 obs=6 b2=0/1/0 :16@0\n"
                                                                     "> CON GET m1 t1 path=a b2=1/0/0\n"
                                                                     "< NON 2.05 p2 t0 obs=7 =short\n"
                                                                     "! o 0 2.05 obs=7 =short\n"
                                                                     "< ACK 2.05 m1 t1 etag=01 b2=1/0/0 :9@16\n"
                                                                     "tick 65000 75000\n"
                                                                     "> CON GET m2 t0 obs=0 path=a\n"},
    {"a registration answered in blocks; a notification meanwhile", "observe a\n"
                                                                    "> CON GET m0 t0 obs=0 path=a\n"
                                                                    "< ACK 2.05 m0 t0 obs=5 b2=0/1/0 :16@0\n"
                                                                    "> CON GET m1 t1 path=a b2=1/0/0\n"
                                                                    "< CON 2.05 p1 t0 obs=6 =new\n"
                                                                    "> ACK - p1\n"
                                                                    "! o 0 2.05 obs=6 =new\n"},
    {"a notification that is no first block, or has the reserved size", REGISTERED "< NON 2.05 p1 t0 obs=6 b2=1/0/0 "
                                                                                   "=x\n"
                                                                                   "! o EBADMSG\n"
                                                                                   "< NON 2.05 p2 t0 obs=7 b2=0/1/7 "
                                                                                   "=x\n"
                                                                                   "! o EBADMSG\n"
                                                                                   "< NON 2.05 p3 t0 obs=8 b2=0/1/1 "
                                                                                   "=short\n"
                                                                                   "! o EBADMSG\n"},
    {"a notification with an unknown critical option", REGISTERED "< CON 2.05 p1 t0 obs=6 odd=1 =x\n"
                                                                  "> RST - p1\n"},
    {"freed without a word", REGISTERED "free\n"},
    {"a registration that nobody answers", "observe a\n"
                                           "> CON GET m0 t0 obs=0 path=a\n"
                                           "< ACK - m0\n"
                                           "tick 93000 93000\n"
                                           "! o ETIMEDOUT\n"
                                           "tick 60000 60000\n"
                                           "> CON GET m1 t1 obs=0 path=a\n"},
};

static void test_rules(void **state)
{
    for (size_t i = 0; i < ELEMENTSOF(rows); i++)
        script_run(rows[i].name, rows[i].script);
}

static void test_order(void **state)
{
    static const struct {
        uint32_t last, number;
        uint64_t seconds;
        bool newer;
    } orders[] = {
        {5, 6, 0, true},        {5, 5, 0, false},
        {6, 5, 128, false},     {6, 5, 129, true},
        {5, 5, 129, true},      {0, (1 << 23) - 1, 0, true},
        {0, 1 << 23, 0, false}, {(1 << 24) - 1, 0, 0, true},
        {1 << 23, 0, 0, false}, {(1 << 23) + 1, 0, 0, true},
    };

    for (size_t i = 0; i < ELEMENTSOF(orders); i++)
        assert_int_equal(
            coap_observe_is_newer(orders[i].last, 7, orders[i].number, 7 + orders[i].seconds * USEC_PER_SEC),
            orders[i].newer);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rules),
        cmocka_unit_test(test_order),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
