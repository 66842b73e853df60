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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_brokers_send),
        cmocka_unit_test(test_too_large),
        cmocka_unit_test(test_what_stands_in_a_packet_is_none),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
