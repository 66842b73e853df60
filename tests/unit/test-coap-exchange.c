/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The rules of RFC 7252 and 9175 as a client keeps them, and stale sessions, a row each (see coap-script.h for the
 * language). */
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
    {"piggybacked response", "get a/b?x=1&y\n"
                             "> CON GET m0 t0 path=a path=b q=x=1 q=y\n"
                             "+50\n"
                             "< ACK 2.05 m0 t0 cf=50 ma=7 =hello\n"
                             "! 0 0 2.05 cf=50 ma=7 =hello\n"
                             "idle\n"},
    {"separate response, acknowledged, and again when repeated", "get a\n"
                                                                 "> CON GET m0 t0 path=a\n"
                                                                 "< ACK - m0\n"
                                                                 "tick 93000 93000\n"
                                                                 "! 0 ETIMEDOUT\n"
                                                                 "get b\n"
                                                                 "> CON GET m1 t1 path=b\n"
                                                                 "< ACK - m1\n"
                                                                 "< CON 2.05 p1 t1 =x\n"
                                                                 "> ACK - p1\n"
                                                                 "! 1 0 2.05 =x\n"
                                                                 "< CON 2.05 p1 t1 =x\n"
                                                                 "> ACK - p1\n"
                                                                 "idle\n"},
    {"separate response before, or without, its ACK", "get a\n"
                                                      "> CON GET m0 t0 path=a\n"
                                                      "< CON 2.05 p1 t0 =x\n"
                                                      "> ACK - p1\n"
                                                      "! 0 0 2.05 =x\n"
                                                      "< ACK - m0\n"
                                                      "get b\n"
                                                      "> CON GET m1 t1 path=b\n"
                                                      "< NON 2.05 p2 t1 =y\n"
                                                      "! 1 0 2.05 =y\n"},
    {"retransmission with doubling, then unanswered", "get a\n"
                                                      "> CON GET m0 t0 path=a\n"
                                                      "tick 2000 3000\n"
                                                      "> CON GET m0 t0 path=a\n"
                                                      "tick 4000 6000\n"
                                                      "> CON GET m0 t0 path=a\n"
                                                      "! suspect\n"
                                                      "tick 8000 12000\n"
                                                      "> CON GET m0 t0 path=a\n"
                                                      "tick 16000 24000\n"
                                                      "> CON GET m0 t0 path=a\n"
                                                      "tick 32000 48000\n"
                                                      "! 0 ETIMEDOUT\n"
                                                      "idle\n"},
    {"answer to a retransmission", "get a\n"
                                   "> CON GET m0 t0 path=a\n"
                                   "tick 2000 3000\n"
                                   "> CON GET m0 t0 path=a\n"
                                   "< ACK 4.04 m0 t0\n"
                                   "! 0 0 4.04\n"
                                   "< ACK 4.04 m0 t0\n"
                                   "idle\n"},
    {"a request sent twice lengthens the next timeout a little", "get a\n"
                                                                 "> CON GET m0 t0 path=a\n"
                                                                 "tick 2000 3000\n"
                                                                 "> CON GET m0 t0 path=a\n"
                                                                 "< ACK 2.05 m0 t0\n"
                                                                 "! 0 0 2.05\n"
                                                                 "get b\n"
                                                                 "> CON GET m1 t1 path=b\n"
                                                                 "+100\n"
                                                                 "< ACK 2.05 m1 t1\n"
                                                                 "! 1 0 2.05\n"
                                                                 "get c\n"
                                                                 "> CON GET m2 t2 path=c\n"
                                                                 "tick 1000 1500\n"
                                                                 "> CON GET m2 t2 path=c\n"
                                                                 "< ACK 2.05 m2 t2\n"
                                                                 "! 2 0 2.05\n"
                                                                 "get d\n"
                                                                 "> CON GET m3 t3 path=d\n"
                                                                 "tick 1125 1969\n"
                                                                 "> CON GET m3 t3 path=d\n"},
    {"reset", "get a\n"
              "> CON GET m0 t0 path=a\n"
              "< RST - m0\n"
              "! 0 ECONNRESET\n"},
    {"nstart 1: one after the other, in order", "get a\n"
                                                "> CON GET m0 t0 path=a\n"
                                                "get b\n"
                                                "get c\n"
                                                "< ACK 2.05 m0 t0\n"
                                                "! 0 0 2.05\n"
                                                "> CON GET m1 t1 path=b\n"
                                                "< ACK - m1\n"
                                                "> CON GET m2 t2 path=c\n"
                                                "< ACK 2.05 m2 t2\n"
                                                "! 2 0 2.05\n"
                                                "< NON 2.05 p1 t1\n"
                                                "! 1 0 2.05\n"},
    {"nstart 2: two at once", "nstart 2\n"
                              "get a\n"
                              "> CON GET m0 t0 path=a\n"
                              "get b\n"
                              "> CON GET m1 t1 path=b\n"
                              "get c\n"
                              "< ACK 2.05 m1 t1\n"
                              "! 1 0 2.05\n"
                              "> CON GET m2 t2 path=c\n"
                              "< ACK 2.05 m0 t0\n"
                              "! 0 0 2.05\n"},
    {"not confirmable", "non a\n"
                        "> NON GET m0 t0 path=a\n"
                        "get b\n"
                        "tick 2000 3000\n"
                        "> CON GET m1 t1 path=b\n"
                        "< NON 2.05 p1 t0 =x\n"
                        "! 0 0 2.05 =x\n"
                        "< ACK 2.05 m1 t1\n"
                        "! 1 0 2.05\n"
                        "non c\n"
                        "> NON GET m2 t2 path=c\n"
                        "< RST - m2\n"
                        "! 2 ECONNRESET\n"
                        "non d\n"
                        "> NON GET m3 t3 path=d\n"
                        "< ACK 2.05 m3 t3\n"
                        "+92999\n"
                        "tick 0 1\n"
                        "! 3 ETIMEDOUT\n"},
    {"unknown token: RST, and again when repeated", "< CON 2.05 p1 t? =x\n"
                                                    "> RST - p1\n"
                                                    "< CON 2.05 p1 t? =x\n"
                                                    "> RST - p1\n"
                                                    "< NON 2.05 p2 t? =x\n"
                                                    "> RST - p2\n"
                                                    "< NON 2.05 p2 t? =x\n"
                                                    "< ACK 2.05 p3 t? =x\n"
                                                    "idle\n"},
    {"piggybacked response with another token is ignored", "get a\n"
                                                           "> CON GET m0 t0 path=a\n"
                                                           "< ACK 2.05 m0 t? =x\n"
                                                           "tick 2000 3000\n"
                                                           "> CON GET m0 t0 path=a\n"
                                                           "< ACK 2.05 m0 t0 =x\n"
                                                           "! 0 0 2.05 =x\n"},
    {"ping from the peer", "< CON - p1\n"
                           "> RST - p1\n"
                           "< NON - p2\n"
                           "idle\n"},
    {"ping to the peer", "ping\n"
                         "> CON - m0\n"
                         "< RST - m0\n"
                         "! 0 0\n"
                         "ping\n"
                         "> CON - m1\n"
                         "< ACK - m1\n"
                         "! 1 0\n"
                         "ping\n"
                         "> CON - m2\n"
                         "tick 1000 3000\n"
                         "> CON - m2\n"
                         "< RST - m2\n"
                         "! 2 0\n"},
    {"requests and undefined codes are rejected", "< CON 0.01 p1 t? path=a\n"
                                                  "> RST - p1\n"
                                                  "< NON 0.01 p2 t? path=a\n"
                                                  "< CON 3.00 p3 t?\n"
                                                  "> RST - p3\n"
                                                  "< ACK 0.01 p4\n"},
    {"malformed: rejected if confirmable", "raw 4045c351ff\n"
                                           "> RST - p1\n"
                                           "raw 5045c352ff\n"
                                           "raw 49450001\n"
                                           "> RST - p-49999\n"
                                           "raw 8045c353\n"
                                           "raw 4000c3\n"},
    {"unknown critical option", "get a\n"
                                "> CON GET m0 t0 path=a\n"
                                "< ACK 2.05 m0 t0 odd=1 =x\n"
                                "! 0 EBADMSG\n"
                                "get b\n"
                                "> CON GET m1 t1 path=b\n"
                                "< ACK - m1\n"
                                "< CON 2.05 p1 t1 odd=1 =x\n"
                                "> RST - p1\n"
                                "! 1 EBADMSG\n"
                                "get c\n"
                                "> CON GET m2 t2 path=c\n"
                                "< ACK 2.05 m2 t2 even=1 =x\n"
                                "! 2 0 2.05 =x\n"},
    {"location", "post credentials 9\n"
                 "> CON POST m0 t0 path=credentials :9@0\n"
                 "< ACK 2.01 m0 t0 loc=a/b loc=c lq=d=1\n"
                 "! 0 0 2.01 loc=a%2Fb/c?d=1\n"},
    {"cancelled: the late response is refused", "get a\n"
                                                "> CON GET m0 t0 path=a\n"
                                                "get b\n"
                                                "cancel 0\n"
                                                "! 0 ECANCELED\n"
                                                "> CON GET m1 t1 path=b\n"
                                                "< ACK 2.05 m0 t0\n"
                                                "< CON 2.05 p1 t0\n"
                                                "> RST - p1\n"
                                                "cancel 1\n"
                                                "! 1 ECANCELED\n"
                                                "idle\n"},
    {"freed with requests", "get a\n"
                            "> CON GET m0 t0 path=a\n"
                            "get b\n"
                            "free\n"
                            "! 0 ECANCELED\n"
                            "! 1 ECANCELED\n"},
    {"4.29 holds further requests for its Max-Age", "get a\n"
                                                    "> CON GET m0 t0 path=a\n"
                                                    "< ACK 4.29 m0 t0 ma=5\n"
                                                    "! 0 0 4.29 ma=5\n"
                                                    "get b\n"
                                                    "ping\n"
                                                    "> CON - m1\n"
                                                    "< RST - m1\n"
                                                    "! 2 0\n"
                                                    "tick 5000 5000\n"
                                                    "> CON GET m2 t1 path=b\n"
                                                    "< ACK 5.03 m2 t1\n"
                                                    "! 1 0 5.03\n"
                                                    "get c\n"
                                                    "tick 60000 60000\n"
                                                    "> CON GET m3 t2 path=c\n"
                                                    "< ACK 4.29 m3 t2 ma=4000000000\n"
                                                    "! 3 0 4.29 ma=4000000000\n"
                                                    "get d\n"
                                                    "tick 3600000 3600000\n"
                                                    "> CON GET m4 t3 path=d\n"},
    {"Echo: the request again with it", "post a 20\n"
                                        "> CON POST m0 t0 path=a :20@0\n"
                                        "< ACK 4.01 m0 t0 echo=0102\n"
                                        "> CON POST m1 t1 path=a echo=0102 :20@0\n"
                                        "< ACK 4.01 m1 t1 echo=03\n"
                                        "> CON POST m2 t2 path=a echo=03 :20@0\n"
                                        "< ACK 2.04 m2 t2\n"
                                        "! 0 0 2.04\n"},
    {"Echo without end is told from a refusal", "get a\n"
                                                "> CON GET m0 t0 path=a\n"
                                                "< ACK 4.01 m0 t0 echo=01\n"
                                                "> CON GET m1 t1 path=a echo=01\n"
                                                "< ACK 4.01 m1 t1 echo=02\n"
                                                "> CON GET m2 t2 path=a echo=02\n"
                                                "< ACK 4.01 m2 t2 echo=03\n"
                                                "> CON GET m3 t3 path=a echo=03\n"
                                                "< ACK 4.01 m3 t3 echo=04\n"
                                                "! 0 0 4.01 challenged\n"
                                                "get b\n"
                                                "> CON GET m4 t4 path=b\n"
                                                "< ACK 4.01 m4 t4\n"
                                                "! 1 0 4.01\n"},
    {"reconnected: asked again at once, same token, same payload", "post a 20\n"
                                                                   "> CON POST m0 t0 path=a :20@0\n"
                                                                   "get b\n"
                                                                   "tick 2000 3000\n"
                                                                   "> CON POST m0 t0 path=a :20@0\n"
                                                                   "tick 4000 6000\n"
                                                                   "> CON POST m0 t0 path=a :20@0\n"
                                                                   "! suspect\n"
                                                                   "reconnect\n"
                                                                   "> CON POST m1 t0 path=a :20@0\n"
                                                                   "< ACK 2.04 m0 t0\n"
                                                                   "< ACK 2.04 m1 t0\n"
                                                                   "! 0 0 2.04\n"
                                                                   "> CON GET m2 t1 path=b\n"},
    {"reconnected: a response outstanding is asked for again, blocks from the first",
     "get a\n"
     "> CON GET m0 t0 path=a\n"
     "< ACK - m0\n"
     "put b 1100\n"
     "> CON PUT m1 t1 path=b b1=0/1/6 s1=1100 rt :1024@0\n"
     "< ACK 2.31 m1 t1 b1=0/1/6\n"
     "> CON PUT m2 t2 path=b b1=1/0/6 rt :76@1024\n"
     "reconnect\n"
     "> CON GET m3 t0 path=a\n"
     "< ACK 2.05 m3 t0\n"
     "! 0 0 2.05\n"
     "> CON PUT m4 t3 path=b b1=0/1/6 s1=1100 rt :1024@0\n"},
    {"reconnected: a secret is not told to another session, sent before or not", "secret a 20\n"
                                                                                 "> CON POST m0 t0 path=a :20@0\n"
                                                                                 "secret b 20\n"
                                                                                 "get c\n"
                                                                                 "reconnect\n"
                                                                                 "! 0 ECANCELED\n"
                                                                                 "! 1 ECANCELED\n"
                                                                                 "> CON GET m1 t1 path=c\n"},
    {"disconnected: nothing is sent, nothing runs out", "get a\n"
                                                        "> CON GET m0 t0 path=a\n"
                                                        "disconnect\n"
                                                        "get b\n"
                                                        "idle\n"
                                                        "+1000000\n"
                                                        "reconnect\n"
                                                        "> CON GET m1 t0 path=a\n"},
    {"what the loss explains is asked of pings, and suspected when they go unanswered too", "lossy 50\n"
                                                                                            "get a\n"
                                                                                            "> CON GET m0 t0 path=a\n"
                                                                                            "tick 2000 3000\n"
                                                                                            "> CON GET m0 t0 path=a\n"
                                                                                            "tick 4000 6000\n"
                                                                                            "> CON GET m0 t0 path=a\n"
                                                                                            "tick 8000 12000\n"
                                                                                            "> CON GET m0 t0 path=a\n"
                                                                                            "tick 16000 24000\n"
                                                                                            "> CON GET m0 t0 path=a\n"
                                                                                            "> CON - m1\n"
                                                                                            "tick 2000 3000\n"
                                                                                            "> CON - m1\n"
                                                                                            "tick 4000 6000\n"
                                                                                            "> CON - m1\n"
                                                                                            "! suspect\n"
                                                                                            "probe\n"
                                                                                            "tick 0 0\n"
                                                                                            "> CON - m1\n"
                                                                                            "< RST - m1\n"
                                                                                            "! answered\n"
                                                                                            "tick 0 0\n"
                                                                                            "> CON GET m0 t0 path=a\n"},
    {"a ping that is answered has the request sent again, with all its repeats", "lossy 50\n"
                                                                                 "get a\n"
                                                                                 "> CON GET m0 t0 path=a\n"
                                                                                 "tick 2000 3000\n"
                                                                                 "> CON GET m0 t0 path=a\n"
                                                                                 "tick 4000 6000\n"
                                                                                 "> CON GET m0 t0 path=a\n"
                                                                                 "tick 8000 12000\n"
                                                                                 "> CON GET m0 t0 path=a\n"
                                                                                 "tick 16000 24000\n"
                                                                                 "> CON GET m0 t0 path=a\n"
                                                                                 "> CON - m1\n"
                                                                                 "< RST - m1\n"
                                                                                 "tick 0 0\n"
                                                                                 "> CON GET m0 t0 path=a\n"
                                                                                 "tick 1500 3000\n"
                                                                                 "> CON GET m0 t0 path=a\n"
                                                                                 "tick 3000 6000\n"
                                                                                 "> CON GET m0 t0 path=a\n"
                                                                                 "tick 6000 12000\n"
                                                                                 "> CON GET m0 t0 path=a\n"
                                                                                 "tick 12000 24000\n"
                                                                                 "! 0 ETIMEDOUT\n"
                                                                                 "> CON - m2\n"},
    {"a ping belongs to the session that was in doubt", "lossy 50\n"
                                                        "get a\n"
                                                        "> CON GET m0 t0 path=a\n"
                                                        "tick 2000 3000\n"
                                                        "> CON GET m0 t0 path=a\n"
                                                        "tick 4000 6000\n"
                                                        "> CON GET m0 t0 path=a\n"
                                                        "tick 8000 12000\n"
                                                        "> CON GET m0 t0 path=a\n"
                                                        "tick 16000 24000\n"
                                                        "> CON GET m0 t0 path=a\n"
                                                        "> CON - m1\n"
                                                        "reconnect\n"
                                                        "> CON GET m2 t0 path=a\n"
                                                        "< ACK 2.05 m2 t0\n"
                                                        "! 0 0 2.05\n"
                                                        "idle\n"},
    {"without loss nothing is asked", "lossy 5\n"
                                      "get a\n"
                                      "> CON GET m0 t0 path=a\n"
                                      "tick 2000 3000\n"
                                      "> CON GET m0 t0 path=a\n"
                                      "tick 4000 6000\n"
                                      "> CON GET m0 t0 path=a\n"
                                      "! suspect\n"},
    {"a stale session that answers after all", "get a\n"
                                               "> CON GET m0 t0 path=a\n"
                                               "tick 2000 3000\n"
                                               "> CON GET m0 t0 path=a\n"
                                               "tick 4000 6000\n"
                                               "> CON GET m0 t0 path=a\n"
                                               "! suspect\n"
                                               "tick 8000 12000\n"
                                               "> CON GET m0 t0 path=a\n"
                                               "< ACK - m0\n"
                                               "! answered\n"},
    {"two lost at the same moment are one loss", "nstart 2\n"
                                                 "get a\n"
                                                 "> CON GET m0 t0 path=a\n"
                                                 "get b\n"
                                                 "> CON GET m1 t1 path=b\n"
                                                 "+3000\n"
                                                 "> CON GET m1 t1 path=b\n"
                                                 "> CON GET m0 t0 path=a\n"
                                                 "< ACK 2.05 m1 t1\n"
                                                 "! 1 0 2.05\n"
                                                 "< ACK 2.05 m0 t0\n"
                                                 "! 0 0 2.05\n"},
};

static void test_rules(void **state)
{
    for (size_t i = 0; i < ELEMENTSOF(rows); i++)
        script_run(rows[i].name, rows[i].script);
}

static int send_nothing(void *userdata, const uint8_t *datagram, size_t n)
{
    return 0;
}

static const struct coap_endpoint_ops silent = {.send = send_nothing};

static void test_refused(void **state)
{
    static const struct coap_endpoint_options bad[] = {
        {.ops = NULL},
        {.ops = &silent, .nstart = COAP_NSTART_MAX + 1},
        {.ops = &silent, .block_size = 8},
        {.ops = &silent, .block_size = 100},
        {.ops = &silent, .block_size = 2048},
        {.ops = &silent, .datagram_max = COAP_DATAGRAM_MIN - 1},
        {.ops = &silent, .datagram_max = COAP_DATAGRAM_LIMIT + 1},
    };
    static const struct {
        struct uplink_request request;
        int r;
    } requests[] = {
        {{.method = COAP_EMPTY, .target = "a"}, -EINVAL},
        {{.method = COAP_CONTENT, .target = "a"}, -EINVAL},
        {{.method = COAP_GET, .target = "a%"}, -EINVAL},
        {{.method = COAP_GET, .target = "a", .accept = 65536}, -EINVAL},
        {{.method = COAP_GET, .target = "a", .content_format = 65536}, -EINVAL},
        {{.method = COAP_GET, .target = "a", .wants_option = 65001}, -EINVAL},
        {{.method = COAP_GET, .target = "1/2/3/4/5/6/7/8/9/0/1/2/3/4/5/6/7/8/9/0/1/2/3/4/5"}, -EINVAL},
        {{.method = COAP_PUT, .target = "a", .payload = "too long", .payload_size = 8}, -EMSGSIZE},
        {{.method = COAP_PUT, .target = "a", .payload = "it fits", .payload_size = 7, .secret = true}, 0},
        {{.method = COAP_GET, .target = "a", .secret = true}, 0},
    };
    const struct coap_endpoint_options options = {.ops = &silent, .body_max = 7, .seed = 1};
    const struct uplink_request more = {.method = COAP_GET, .target = "a", .content_format = -1, .accept = -1};
    _cleanup_(coap_endpoint_freep) struct coap_endpoint *ep = NULL;

    for (size_t i = 0; i < ELEMENTSOF(bad); i++)
        assert_int_equal(coap_endpoint_new(&bad[i], &ep), -EINVAL);
    assert_null(ep);
    assert_int_equal(coap_endpoint_new(&options, &ep), 0);
    for (size_t i = 0; i < ELEMENTSOF(requests); i++)
        assert_int_equal(coap_request(ep, 1, &requests[i].request, NULL, NULL, NULL), requests[i].r);
    for (size_t i = 2; i < COAP_EXCHANGES_MAX; i++)
        assert_int_equal(coap_request(ep, 1, &more, NULL, NULL, NULL), 0);
    assert_int_equal(coap_request(ep, 1, &more, NULL, NULL, NULL), -ENOBUFS);
    assert_int_equal(coap_ping(ep, 1, NULL, NULL, NULL), -ENOBUFS);
}

/* What a callback does to the endpoint that called it. */
struct reentry {
    struct coap_endpoint *ep;
    struct uplink_call *other;
    enum { ASK, CANCEL, FREE } act;
    unsigned ended;
};

static void reenter(int r, const struct uplink_response *response, void *userdata)
{
    static const struct uplink_request again = {.method = COAP_GET, .target = "b", .content_format = -1, .accept = -1};
    struct reentry *e = userdata;

    if (e->ended++ > 0)
        return;
    switch (e->act) {
    case ASK:
        assert_int_equal(coap_request(e->ep, 2, &again, reenter, e, NULL), 0);
        break;
    case CANCEL:
        uplink_call_cancel(e->other);
        break;
    case FREE:
        e->ep = coap_endpoint_free(e->ep);
        assert_int_equal(r, 0);
        break;
    }
}

static void reenter_suspect(void *userdata)
{
    struct reentry *e = userdata;

    e->ep = coap_endpoint_free(e->ep);
}

static uint8_t ack[4];
static int send_and_answer(void *userdata, const uint8_t *datagram, size_t n)
{
    memcpy(ack, datagram, sizeof(ack));
    ack[0] = 0x70; /* the RST for a ping */
    ack[1] = 0;
    return 0;
}

static uint64_t reenter_now(void *userdata)
{
    return 2;
}

static void test_reentered(void **state)
{
    static const struct coap_endpoint_ops ops = {
        .send = send_and_answer, .suspect = reenter_suspect, .now = reenter_now};

    for (int act = ASK; act <= FREE; act++) {
        struct reentry e = {.act = act};
        const struct coap_endpoint_options options = {.ops = &ops, .userdata = &e, .seed = 1};

        assert_int_equal(coap_endpoint_new(&options, &e.ep), 0);
        assert_int_equal(coap_ping(e.ep, 1, reenter, &e, NULL), 0);
        assert_int_equal(coap_ping(e.ep, 1, reenter, &e, &e.other), 0);
        coap_endpoint_receive(e.ep, 2, ack, sizeof(ack));
        assert_int_equal(e.ended, act == ASK ? 1 : 2);
        coap_endpoint_free(e.ep);
        assert_int_equal(e.ended, act == ASK ? 3 : 2);
    }
    /* In ops->suspect, while time passes. */
    struct reentry e = {.ended = 1};
    const struct coap_endpoint_options options = {.ops = &ops, .userdata = &e, .seed = 1};

    assert_int_equal(coap_endpoint_new(&options, &e.ep), 0);
    assert_int_equal(coap_ping(e.ep, 1, reenter, &e, NULL), 0);
    for (int i = 0; e.ep && i < 10; i++)
        coap_endpoint_tick(e.ep, coap_endpoint_deadline(e.ep));
    assert_null(e.ep);
    assert_int_equal(e.ended, 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rules),
        cmocka_unit_test(test_refused),
        cmocka_unit_test(test_reentered),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
