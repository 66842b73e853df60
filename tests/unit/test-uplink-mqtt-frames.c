/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "uplink/mqtt-frames.h"

#include "base/cleanup.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* Where the packets of these bytes end, whole and byte by byte. */
static int feed(const uint8_t *data, size_t n, uint32_t *ret_published, struct error *e)
{
    struct mqtt_frames whole = {0}, piecewise = {0};
    int r = mqtt_frames_feed(&whole, data, n, e), k = 0;

    for (size_t i = 0; i < n && k == 0; i++)
        k = mqtt_frames_feed(&piecewise, data + i, 1, NULL);
    assert_int_equal(r, k);
    assert_memory_equal(&whole, &piecewise, sizeof(whole));
    *ret_published = whole.published;
    return r;
}

static void test_what_brokers_send(void **state)
{
    static const uint8_t packets[] = {
        0x20, 0x03, 0x00, 0x00, 0x00,              /* CONNACK */
        0xd0, 0x00,                                /* PINGRESP */
        0x32, 0x06, 0x00, 0x01, 'a',  0,   1, 'x', /* PUBLISH, QoS 1 */
        0x3b, 0x85, 0x00, 0x00, 0x01, 'a', 0, 2,   /* the same again, retained, its length in two bytes */
        0x30, 0x03, 0x00, 0x01, 'a',               /* QoS 0 */
        0x40, 0x02, 0x00, 0x01,                    /* PUBACK */
    };
    struct error e = {""};
    uint32_t published = 0;

    assert_int_equal(feed(packets, sizeof(packets), &published, &e), 0);
    assert_int_equal(published, 2);
}

static void test_too_large(void **state)
{
    static const struct {
        uint8_t header[5];
        size_t n;
        int r;
        const char *words;
    } cases[] = {
        {{0x30, 0xfc, 0xff, 0x0f}, 4, 0, ""}, /* 256 KiB in all */
        {{0x30, 0xfd, 0xff, 0x0f}, 4, -EMSGSIZE, "262145 bytes; expected at most 262144"},
        {{0x30, 0x80, 0x80, 0x80, 0x64}, 5, -EMSGSIZE, "209715205 bytes"},
        {{0x40, 0xff, 0xff, 0xff, 0x7f}, 5, -EMSGSIZE, "268435460 bytes"},
        {{0x30, 0x80, 0x80, 0x80, 0x80}, 5, -EPROTO, "not MQTT"},
        {{0x34, 0x05}, 2, -EPROTO, "QoS 2"},
        {{0x00, 0x30, 0x80, 0x80, 0x80}, 5, -EPROTO, "a packet of type 0"}, /* libmosquitto would pass over the first */
        {{0x62, 0x02, 0x00, 0x01}, 4, -EPROTO, "a packet of type 6"},       /* PUBREL, which it answers */
        {{0xc0, 0x00}, 2, -EPROTO, "a packet of type 12"},                  /* PINGREQ, likewise */
        {{0xf0, 0x00}, 2, -EPROTO, "a packet of type 15"},
    };

    for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
        struct error e = {""};
        uint32_t published = 0;

        assert_int_equal(feed(cases[i].header, cases[i].n, &published, &e), cases[i].r);
        assert_non_null(strstr(e.text, cases[i].words));
    }
}

static void test_what_stands_in_a_packet_is_none(void **state)
{
    struct mqtt_frames f = {0};
    static const uint8_t header[] = {0x30, 0xe8, 0x07}; /* 1000 bytes that look like headers of large packets */
    uint8_t body[1000];

    memset(body, 0xff, sizeof(body));
    assert_int_equal(mqtt_frames_feed(&f, header, sizeof(header), NULL), 0);
    assert_int_equal(mqtt_frames_feed(&f, body, 999, NULL), 0);
    assert_int_equal(mqtt_frames_feed(&f, body, 1, NULL), 0);
    assert_int_equal(mqtt_frames_feed(&f, body, 5, NULL), -EPROTO);
}

/* libmosquitto aborts the process when it does not know a property. */
static void test_properties(void **state)
{
    static const struct {
        uint8_t packet[24];
        size_t n;
        int r;
        const char *words;
    } cases[] = {
        {{0x20, 0x0a, 0, 0, 7, 0x21, 0, 5, 0x27, 0, 0, 1, 0xd0, 0}, 14, -EPROTO, "longer than all"},
        {{0x20, 0x0b, 0, 0, 8, 0x21, 0, 5, 0x27, 0, 0, 1, 0, 0xd0, 0}, 15, 0, ""}, /* CONNACK, and PINGRESP behind it */
        {{0x30, 0x06, 0, 1, 'a', 2, 0x7f, 0}, 8, -EPROTO, "does not know (127)"},
        {{0x30, 0x06, 0, 1, 'a', 2, 0x00, 0}, 8, -EPROTO, "does not know (0)"},
        {{0x30, 0x06, 0, 1, 'a', 0, 0x7f, 0}, 8, 0, ""}, /* it is payload */
        {{0x32, 0x08, 0, 1, 'a', 0, 9, 2, 0x7f, 0}, 10, -EPROTO, "does not know (127)"},
        {{0x32, 0x0a, 0, 1, 'a', 0, 9, 4, 0x0b, 0x80, 1, 0x01}, 12, -EPROTO, "longer than all"},
        {{0x30, 0x0c, 0, 1, 'a', 7, 0x26, 0, 1, 'k', 0, 1, 'v', 'x'}, 14, 0, ""},
        {{0x30, 0x0a, 0, 1, 'a', 4, 0x26, 0, 1, 'k', 0, 1}, 12, -EPROTO, "in the middle"},
        {{0x30, 0x0b, 0, 1, 'a', 6, 0x0b, 0xff, 0xff, 0xff, 0xff, 1, 0}, 13, -EPROTO, "does not end"},
        {{0x30, 0x09, 0, 1, 'a', 0xff, 0xff, 0xff, 0xff, 1, 0}, 11, -EPROTO, "does not end"},
        {{0x40, 0x02, 0, 1, 0x40, 0x06, 0, 1, 0, 2, 0x7f, 0}, 12, -EPROTO, "does not know (127)"},
        {{0x90, 0x05, 0, 1, 1, 0x7f, 0}, 7, -EPROTO, "does not know (127)"},
        {{0xe0, 0x04, 0x8b, 2, 0x7f, 0}, 6, -EPROTO, "does not know (127)"},
        {{0xe0, 0x00, 0xe0, 0x01, 0x8b, 0xd0, 0x00}, 7, 0, ""},
    };

    for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
        struct mqtt_frames whole = {.five = true}, piecewise = {.five = true}, old = {0};
        struct error e = {""};
        int k = 0;

        assert_int_equal(mqtt_frames_feed(&whole, cases[i].packet, cases[i].n, &e), cases[i].r);
        assert_non_null(strstr(e.text, cases[i].words));
        for (size_t at = 0; at < cases[i].n && k == 0; at++)
            k = mqtt_frames_feed(&piecewise, cases[i].packet + at, 1, NULL);
        assert_int_equal(k, cases[i].r);
        assert_int_equal(mqtt_frames_feed(&old, cases[i].packet, cases[i].n, NULL), 0); /* before 5 there are none */
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_brokers_send),
        cmocka_unit_test(test_too_large),
        cmocka_unit_test(test_what_stands_in_a_packet_is_none),
        cmocka_unit_test(test_properties),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
