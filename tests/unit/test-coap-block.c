/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The rules of RFC 7959 (blocks) as a client keeps them, a row each (see coap-script.h for the language). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "coap-script.h"

#define DIGITS "0123456789012345678901234567890123456789012345678901234567890123456789012345678901234567890123456789"

static const struct {
    const char *name;
    const char *script;
} rows[] = {
    {"Block1", "put a 2500\n"
               "> CON PUT m0 t0 path=a b1=0/1/6 s1=2500 rt :1024@0\n"
               "< ACK 2.31 m0 t0 b1=0/1/6\n"
               "> CON PUT m1 t1 path=a b1=1/1/6 rt :1024@1024\n"
               "tick 1000 1500\n"
               "> CON PUT m1 t1 path=a b1=1/1/6 rt :1024@1024\n"
               "< ACK 2.31 m1 t1 b1=1/1/6\n"
               "> CON PUT m2 t2 path=a b1=2/0/6 rt :452@2048\n"
               "< ACK 2.04 m2 t2 b1=2/0/6\n"
               "! 0 0 2.04\n"},
    {"Block1: smaller from the second block on", "block 512\n"
                                                 "put a 600\n"
                                                 "> CON PUT m0 t0 path=a b1=0/1/5 s1=600 rt :512@0\n"
                                                 "< ACK 2.31 m0 t0 b1=0/1/2\n"
                                                 "> CON PUT m1 t1 path=a b1=8/1/2 rt :64@512\n"
                                                 "< ACK 2.31 m1 t1 b1=8/1/6\n"
                                                 "> CON PUT m2 t2 path=a b1=9/0/2 rt :24@576\n"
                                                 "< CON 2.04 p1 t2 b1=9/0/2\n"
                                                 "> ACK - p1\n"
                                                 "! 0 0 2.04\n"},
    {"Block1: 4.13 names a smaller size", "put a 600\n"
                                          "> CON PUT m0 t0 path=a :600@0\n"
                                          "< ACK 4.13 m0 t0 b1=0/1/5\n"
                                          "> CON PUT m1 t1 path=a b1=0/1/5 s1=600 rt :512@0\n"
                                          "< ACK 2.31 m1 t1 b1=0/1/5\n"
                                          "> CON PUT m2 t2 path=a b1=1/0/5 rt :88@512\n"
                                          "< ACK 4.13 m2 t2 b1=1/0/5\n"
                                          "! 0 0 4.13\n"
                                          "put b 20\n"
                                          "> CON PUT m3 t3 path=b :20@0\n"
                                          "< ACK 4.13 m3 t3\n"
                                          "! 1 0 4.13\n"},
    {"Block1: 4.08 begins again, not for ever", "put a 1100\n"
                                                "> CON PUT m0 t0 path=a b1=0/1/6 s1=1100 rt :1024@0\n"
                                                "< ACK 2.31 m0 t0 b1=0/1/6\n"
                                                "> CON PUT m1 t1 path=a b1=1/0/6 rt :76@1024\n"
                                                "< ACK 4.08 m1 t1\n"
                                                "> CON PUT m2 t2 path=a b1=0/1/6 s1=1100 rt :1024@0\n"
                                                "< ACK 4.08 m2 t2\n"
                                                "> CON PUT m3 t3 path=a b1=0/1/6 s1=1100 rt :1024@0\n"
                                                "< ACK 4.08 m3 t3\n"
                                                "> CON PUT m4 t4 path=a b1=0/1/6 s1=1100 rt :1024@0\n"
                                                "< ACK 4.08 m4 t4\n"
                                                "! 0 0 4.08\n"},
    {"Block1: continue for another block, or after the last", "put a 1100\n"
                                                              "> CON PUT m0 t0 path=a b1=0/1/6 s1=1100 rt :1024@0\n"
                                                              "< ACK 2.31 m0 t0 b1=1/1/6\n"
                                                              "! 0 EBADMSG\n"
                                                              "put b 20\n"
                                                              "> CON PUT m1 t1 path=b :20@0\n"
                                                              "< ACK 2.31 m1 t1 b1=0/1/6\n"
                                                              "! 1 EBADMSG\n"
                                                              "get c\n"
                                                              "> CON GET m2 t2 path=c\n"
                                                              "< ACK 2.31 m2 t2\n"
                                                              "! 2 EBADMSG\n"},
    {"Block1: continue after the last block", "put a 1100\n"
                                              "> CON PUT m0 t0 path=a b1=0/1/6 s1=1100 rt :1024@0\n"
                                              "< ACK 2.31 m0 t0 b1=0/1/6\n"
                                              "> CON PUT m1 t1 path=a b1=1/0/6 rt :76@1024\n"
                                              "< ACK 2.31 m1 t1 b1=1/0/6\n"
                                              "! 0 EBADMSG\n"},
    {"4.13 with a size that would not help, 4.08 to one block: delivered", "put a 20\n"
                                                                           "> CON PUT m0 t0 path=a :20@0\n"
                                                                           "< ACK 4.13 m0 t0 b1=0/1/5\n"
                                                                           "! 0 0 4.13\n"
                                                                           "put a 20\n"
                                                                           "> CON PUT m1 t1 path=a :20@0\n"
                                                                           "< ACK 4.08 m1 t1\n"
                                                                           "! 1 0 4.08\n"},
    {"Block2", "get a\n"
               "> CON GET m0 t0 path=a\n"
               "< ACK 2.05 m0 t0 etag=01 cf=50 b2=0/1/6 :1024@0\n"
               "> CON GET m1 t1 path=a b2=1/0/6\n"
               "< ACK - m1\n"
               "< CON 2.05 p1 t1 etag=01 cf=50 b2=1/1/6 :1024@1024\n"
               "> ACK - p1\n"
               "> CON GET m2 t2 path=a b2=2/0/6\n"
               "< ACK 2.05 m2 t2 etag=01 cf=50 b2=2/0/6 :10@2048\n"
               "! 0 0 2.05 cf=50 :2058@0\n"},
    {"Block2: ours is the smaller size", "block 64\n"
                                         "get a\n"
                                         "> CON GET m0 t0 path=a b2=0/0/2\n"
                                         "< ACK 2.05 m0 t0 b2=0/1/4 :256@0\n"
                                         "> CON GET m1 t1 path=a b2=4/0/2\n"
                                         "< ACK 2.05 m1 t1 b2=4/0/2 :30@256\n"
                                         "! 0 0 2.05 :286@0\n"},
    {"Block2: the peer's is the smaller size", "get a\n"
                                               "> CON GET m0 t0 path=a\n"
                                               "< ACK 2.05 m0 t0 b2=0/1/0 :16@0\n"
                                               "> CON GET m1 t1 path=a b2=1/0/0\n"
                                               "< ACK 2.05 m1 t1 b2=1/0/0 :9@16\n"
                                               "! 0 0 2.05 :25@0\n"},
    {"Block2: the resource changed in between", "get a\n"
                                                "> CON GET m0 t0 path=a\n"
                                                "< ACK 2.05 m0 t0 etag=01 b2=0/1/0 :16@0\n"
                                                "> CON GET m1 t1 path=a b2=1/0/0\n"
                                                "< ACK 2.05 m1 t1 etag=02 b2=1/0/0 :9@16\n"
                                                "> CON GET m2 t2 path=a\n"
                                                "< ACK 2.05 m2 t2 etag=02 b2=0/1/0 :16@100\n"
                                                "> CON GET m3 t3 path=a b2=1/0/0\n"
                                                "< ACK 2.05 m3 t3 etag=02 b2=1/0/0 :9@116\n"
                                                "! 0 0 2.05 :25@100\n"},
    {"Block2 of a POST that changed: not posted twice", "post a 20\n"
                                                        "> CON POST m0 t0 path=a :20@0\n"
                                                        "< ACK 2.04 m0 t0 etag=01 b2=0/1/0 :16@0\n"
                                                        "> CON POST m1 t1 path=a b2=1/0/0\n"
                                                        "< ACK 2.04 m1 t1 etag=02 b2=1/0/0 :9@16\n"
                                                        "! 0 EBADMSG\n"},
    {"Block2: an error in the middle", "get a\n"
                                       "> CON GET m0 t0 path=a\n"
                                       "< ACK 2.05 m0 t0 b2=0/1/0 :16@0\n"
                                       "> CON GET m1 t1 path=a b2=1/0/0\n"
                                       "< ACK 4.04 m1 t1 =gone\n"
                                       "! 0 0 4.04 =gone\n"},
    {"Block2: the wrong block, a short block, a missing option, the reserved size", "get a\n"
                                                                                    "> CON GET m0 t0 path=a\n"
                                                                                    "< ACK 2.05 m0 t0 b2=1/1/0 :16@0\n"
                                                                                    "! 0 EBADMSG\n"
                                                                                    "get a\n"
                                                                                    "> CON GET m1 t1 path=a\n"
                                                                                    "< ACK 2.05 m1 t1 b2=0/1/0 :15@0\n"
                                                                                    "! 1 EBADMSG\n"
                                                                                    "get a\n"
                                                                                    "> CON GET m2 t2 path=a\n"
                                                                                    "< ACK 2.05 m2 t2 b2=0/1/0 :16@0\n"
                                                                                    "> CON GET m3 t3 path=a b2=1/0/0\n"
                                                                                    "< ACK 2.05 m3 t3 :16@16\n"
                                                                                    "! 2 EBADMSG\n"
                                                                                    "get a\n"
                                                                                    "> CON GET m4 t4 path=a\n"
                                                                                    "< ACK 2.05 m4 t4 b2=0/1/7 :16@16\n"
                                                                                    "! 3 EBADMSG\n"},
    {"a body over the limit", "body 40\n"
                              "get a\n"
                              "> CON GET m0 t0 path=a\n"
                              "< ACK 2.05 m0 t0 b2=0/1/0 :16@0\n"
                              "> CON GET m1 t1 path=a b2=1/0/0\n"
                              "< ACK 2.05 m1 t1 b2=1/1/0 :16@16\n"
                              "> CON GET m2 t2 path=a b2=2/0/0\n"
                              "< ACK 2.05 m2 t2 b2=2/0/0 :9@32\n"
                              "! 0 EMSGSIZE\n"
                              "get b\n"
                              "> CON GET m3 t3 path=b\n"
                              "< ACK 2.05 m3 t3 b2=0/1/0 s2=41 :16@0\n"
                              "! 1 EMSGSIZE\n"},
    {"Block1 and Block2 in one request", "block 32\n"
                                         "fetch a 40\n"
                                         "> CON FETCH m0 t0 path=a b2=0/0/1 b1=0/1/1 s1=40 rt :32@0\n"
                                         "< ACK 2.31 m0 t0 b1=0/1/1\n"
                                         "> CON FETCH m1 t1 path=a b2=0/0/1 b1=1/0/1 rt :8@32\n"
                                         "< ACK 2.05 m1 t1 b2=0/1/1 b1=1/0/1 :32@0\n"
                                         "> CON FETCH m2 t2 path=a b2=1/0/1\n"
                                         "< ACK 2.05 m2 t2 b2=1/0/1 :9@32\n"
                                         "! 0 0 2.05 :41@0\n"},
    {"a path that takes less than thought, at once and halfway", "mtu 548\n"
                                                                 "put a 1000\n"
                                                                 "> CON PUT m0 t0 path=a b1=0/1/5 s1=1000 rt :512@0\n"
                                                                 "mtu 300\n"
                                                                 "< ACK 2.31 m0 t0 b1=0/1/5\n"
                                                                 "> CON PUT m2 t1 path=a b1=2/1/4 rt :256@512\n"
                                                                 "< ACK 2.31 m2 t1 b1=2/1/4\n"
                                                                 "> CON PUT m3 t2 path=a b1=3/0/4 rt :232@768\n"
                                                                 "< ACK 2.04 m3 t2\n"
                                                                 "! 0 0 2.04\n"},
    {"what alone goes unanswered is sent in smaller blocks", "put a 1000\n"
                                                             "> CON PUT m0 t0 path=a :1000@0\n"
                                                             "tick 2000 3000\n"
                                                             "> CON PUT m0 t0 path=a :1000@0\n"
                                                             "tick 4000 6000\n"
                                                             "> CON PUT m0 t0 path=a :1000@0\n"
                                                             "! suspect\n"
                                                             "probe\n"
                                                             "> CON - m1\n"
                                                             "< RST - m1\n"
                                                             "! answered\n"
                                                             "tick 0 0\n"
                                                             "> CON PUT m0 t0 path=a :1000@0\n"
                                                             "tick 1000 4000\n"
                                                             "> CON PUT m0 t0 path=a :1000@0\n"
                                                             "tick 1000 8000\n"
                                                             "> CON PUT m2 t0 path=a b1=0/1/5 s1=1000 rt :512@0\n"
                                                             "< ACK 2.31 m2 t0 b1=0/1/5\n"
                                                             "> CON PUT m3 t1 path=a b1=1/0/5 rt :488@512\n"
                                                             "< ACK 2.04 m3 t1\n"
                                                             "! 0 0 2.04\n"},
    {"a request that fits no datagram", "mtu 256\n"
                                        "get " DIGITS "/" DIGITS "/" DIGITS "\n"
                                        "! 0 EMSGSIZE\n"
                                        "idle\n"},
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
