/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "uplink/mqtt-reasons.h"

#include "base/cleanup.h"
#include "uplink/suites.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

static void test_connack(void **state)
{
    static const struct {
        enum mqtt_version version;
        uint8_t code;
        bool refuses, older;
    } cases[] = {
        {MQTT_V311, 1, false, false}, {MQTT_V311, 2, false, false},  {MQTT_V311, 3, false, false},
        {MQTT_V311, 4, true, false},  {MQTT_V311, 5, true, false},   {MQTT_V5, 0x84, false, true},
        {MQTT_V5, 1, false, true},    {MQTT_V5, 0x85, false, false}, {MQTT_V5, 0x86, true, false},
        {MQTT_V5, 0x87, true, false}, {MQTT_V5, 0x88, false, false}, {MQTT_V5, 0x9f, false, false},
    };

    for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
        assert_int_equal(mqtt_connack_refuses(cases[i].version, cases[i].code), cases[i].refuses);
        assert_int_equal(mqtt_connack_wants_older(cases[i].version, cases[i].code), cases[i].older);
        assert_true(strlen(mqtt_connack_text(cases[i].version, cases[i].code)) > 0);
    }
    assert_non_null(strstr(mqtt_connack_text(MQTT_V311, 2), "client id"));
    assert_non_null(strstr(mqtt_connack_text(MQTT_V5, 0x85), "client id"));
}

static void test_disconnect(void **state)
{
    assert_string_equal(mqtt_disconnect_text(0x8e), "another client uses this client id");
    assert_non_null(strstr(mqtt_disconnect_text(0x87), "refused"));
    for (unsigned reason = 0x80; reason <= 0xa2; reason++)
        assert_true(strlen(mqtt_disconnect_text((uint8_t)reason)) > 0);
}

/* MQTT 5 section 3.14.2.1, all of its reason codes: what becomes of the message in flight. */
static void test_disconnect_blames(void **state)
{
    static const struct {
        uint8_t first, last;
        enum mqtt_blame blame;
    } cases[] = {
        {0x00, 0x04, MQTT_BLAMES_NOTHING},
        {0x80, 0x83, MQTT_BLAMES_MESSAGE}, /* unspecified, malformed packet, protocol error, implementation specific */
        {0x87, 0x87, MQTT_BLAMES_BY_CODE}, /* not authorized: is refused, as by PUBACK */
        {0x89, 0x89, MQTT_BLAMES_NOTHING}, /* server busy */
        {0x8b, 0x8b, MQTT_BLAMES_NOTHING}, /* server shutting down */
        {0x8d, 0x8d, MQTT_BLAMES_SILENCE}, /* keep alive timeout: what is large may be lost on the way */
        {0x8e, 0x8f, MQTT_BLAMES_NOTHING}, /* session taken over, topic filter invalid */
        {0x90, 0x90, MQTT_BLAMES_BY_CODE}, /* topic name invalid */
        {0x93, 0x93, MQTT_BLAMES_NUMBER},  /* receive maximum exceeded */
        {0x94, 0x94, MQTT_BLAMES_PERHAPS}, /* topic alias invalid: none is sent, so the message was misread */
        {0x95, 0x95, MQTT_BLAMES_BY_CODE}, /* packet too large: halved at once */
        {0x96, 0x98, MQTT_BLAMES_PERHAPS}, /* message rate too high, quota exceeded, administrative action */
        {0x99, 0x9b, MQTT_BLAMES_BY_CODE}, /* payload format invalid, retain or QoS not supported */
        {0x9c, 0xa2, MQTT_BLAMES_NOTHING}, /* another server, limits of connections, subscriptions */
        {0xa3, 0xff, MQTT_BLAMES_MESSAGE}, /* reserved */
    };

    for (size_t i = 0; i < ELEMENTSOF(cases); i++)
        for (unsigned code = cases[i].first; code <= cases[i].last; code++)
            if (mqtt_disconnect_blames((uint8_t)code) != cases[i].blame)
                fail_msg("0x%02x: %d", code, (int)mqtt_disconnect_blames((uint8_t)code));
}

static void test_suites(void **state)
{
    static const struct {
        const char *names[3];
        const char *openssl;
    } cases[] = {
        {{"ecdhe-psk"}, "ECDHE-PSK-CHACHA20-POLY1305"},
        {{"psk-ccm8", "ecdhe-psk-cbc"}, "PSK-AES128-CCM8:ECDHE-PSK-AES128-CBC-SHA256:@SECLEVEL=0"},
        {{"psk"}, "PSK-AES128-GCM-SHA256:PSK-AES256-GCM-SHA384:PSK-AES128-CCM:PSK-AES256-CCM"},
    };
    struct error e = {""};
    char *list = NULL;

    for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
        _cleanup_free_ char *got = NULL;

        assert_int_equal(suites_openssl(cases[i].names, &got, NULL), 0);
        assert_string_equal(got, cases[i].openssl);
    }
    assert_int_equal(suites_openssl((const char *const[]){"rsa", NULL}, &list, &e), -EINVAL);
    assert_null(list);
    assert_non_null(strstr(e.text, "\"rsa\""));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_connack),
        cmocka_unit_test(test_disconnect),
        cmocka_unit_test(test_disconnect_blames),
        cmocka_unit_test(test_suites),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
