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
        cmocka_unit_test(test_suites),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
