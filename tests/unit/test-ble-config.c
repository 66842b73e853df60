/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The section `ble` and its points: what is taken, and what is wrong with the rest, with its place. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "ble/config.h"
#include "ble/decoder.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

static struct decoder_set *set;

static void on_file(void *context, const char *path, const char *place, const char *message)
{
    fail_msg("%s: %s: %s", path, place, message);
}

static int setup(void **state)
{
    const char *directory = BLE_DECODERS;

    return decoder_set_load(&directory, 1, on_file, NULL, &set);
}

static int teardown(void **state)
{
    set = decoder_set_free(set);
    return 0;
}

static void keep(void *context, const char *pointer, const char *message)
{
    char *text = context;
    size_t n = strlen(text);

    snprintf(text + n, 1024 - n, "%s: %s\n", pointer, message);
}

static int read_config(const char *section, const char *point, bool writable, char complaints[1024],
                       struct ble_config **ret)
{
    const struct gatehouse_point points[] = {{"p", NULL, point, writable}};

    int r;

    complaints[0] = 0;
    r = ble_config_read(set, section, points, point != NULL, keep, complaints, ret);
    if (r < 0)
        print_message("%s", complaints);
    return r;
}

static void test_taken(void **state)
{
    struct ble_config *c;
    char complaints[1024];

    assert_int_equal(read_config("{\"address\": \"a4:c1:38:02:83:f4\"}", NULL, false, complaints, &c), 0);
    assert_string_equal(c->address, "A4:C1:38:02:83:F4");
    assert_string_equal(c->format, "auto");
    assert_int_equal(c->interval, MINUTE);
    assert_int_equal(c->timeout, 15 * MINUTE);
    assert_false(c->passive);
    assert_true(c->adapter[0] == 0 && c->pairing == PAIRING_NONE && ble_config_listens(c));
    ble_config_free(c);
    assert_int_equal(read_config("{\"address\": \"A4:C1:38:02:83:F4\", \"format\": \"bthome\", \"interval\": \"0\","
                                 " \"timeout\": \"1h\", \"adapter\": \"any\", \"pairing\": \"passkey\","
                                 " \"passkey\": \"012345\"}",
                                 "{\"characteristic\": \"2a6e\", \"notify\": true}", false, complaints, &c),
                     0);
    assert_string_equal(complaints, "");
    assert_int_equal(c->passkey, 12345);
    assert_int_equal(c->interval, 0);
    assert_true(c->points[0].gatt && c->points[0].notify && c->points[0].read == 0 && !c->points[0].has_type);
    assert_false(ble_config_listens(c));
    ble_config_free(c);
    assert_int_equal(
        read_config("{\"address\": \"A4:C1:38:02:83:F4\", \"scan\": \"passive\"}", NULL, false, complaints, &c), 0);
    assert_true(c->passive);
    ble_config_free(c);
    assert_int_equal(
        read_config("{\"address\": \"A4:C1:38:02:83:F4\"}", "{\"characteristic\": \"2a6e\"}", false, complaints, &c),
        0);
    assert_int_equal(c->points[0].read, MINUTE);
    ble_config_free(c);
    assert_int_equal(
        read_config("{\"address\": \"A4:C1:38:02:83:F4\"}", "{\"value\": \"temperature_2\"}", false, complaints, &c),
        0);
    ble_config_free(c);
}

#define ADDRESS "\"address\": \"A4:C1:38:02:83:F4\""

static void test_refused(void **state)
{
    static const struct {
        const char *section, *point;
        bool writable;
        const char *pointer, *words;
    } rows[] = {
        {"{}", NULL, false, "/section: ", "\"address\" is missing"},
        {"[]", NULL, false, "/section: ", "an object"},
        {"{\"address\": \"A4:C1\"}", NULL, false, "/section/address", "Bluetooth address"},
        {"{" ADDRESS ", \"format\": \"x\"}", NULL, false, "/section/format", "no format \"x\""},
        {"{" ADDRESS ", \"format\": 7}", NULL, false, "/section/format", "string"},
        {"{" ADDRESS ", \"timeout\": \"100ms\"}", NULL, false, "/section/timeout", "duration"},
        {"{" ADDRESS ", \"interval\": \"30d\"}", NULL, false, "/section/interval", "duration"},
        {"{" ADDRESS ", \"adapter\": \"hci0\"}", NULL, false, "/section/adapter", "bluetoothctl list"},
        {"{" ADDRESS ", \"scan\": \"often\"}", NULL, false, "/section/scan", "\"active\" or \"passive\""},
        {"{" ADDRESS ", \"scan\": true}", NULL, false, "/section/scan", "string"},
        {"{" ADDRESS ", \"scan\": \"passive\", \"format\": \"switchbot-meter\"}", NULL, false, "/section/scan",
         "the format switchbot-meter needs \"active\""},
        {"{" ADDRESS ", \"pairing\": \"always\"}", NULL, false, "/section/pairing", "just-works"},
        {"{" ADDRESS ", \"pairing\": \"passkey\", \"passkey\": \"12\"}", NULL, false, "/section/passkey", "six digits"},
        {"{" ADDRESS ", \"passkey\": \"123456\"}", NULL, false, "/section/passkey", "of no use"},
        {"{" ADDRESS ", \"key\": 1}", NULL, false, "/section/key", "unknown key"},
        {"{" ADDRESS "}", "{\"valu\": \"x\"}", false, "/points/p/valu", "unknown key"},
        {"{" ADDRESS "}", "{\"value\": \"temprature\"}", false, "/points/p/value",
         "no format gives a value \"temprature\""},
        {"{" ADDRESS "}", "{}", false, "/points/p: ", "no format gives a value \"p\""},
        {"{" ADDRESS ", \"format\": \"ruuvi-5\"}", "{\"value\": \"co2\"}", false, "/points/p/value",
         "the format ruuvi-5 gives no value \"co2\""},
        {"{" ADDRESS "}", "{}", true, "/points/p: ", "cannot be written"},
        {"{" ADDRESS "}", "{\"service\": \"181a\"}", false, "/points/p/characteristic", "UUID"},
        {"{" ADDRESS "}", "{\"characteristic\": \"fff1\"}", false, "/points/p: ", "\"type\" is missing"},
        {"{" ADDRESS "}", "{\"characteristic\": \"2a6e\"}", true, "/points/p: ", "becomes bytes"},
        {"{" ADDRESS "}", "{\"characteristic\": \"fff1\", \"type\": \"uint8\", \"read\": \"10ms\"}", false,
         "/points/p/read", "duration"},
        {"{" ADDRESS "}", "{\"characteristic\": \"fff1\", \"type\": \"uint8\", \"colour\": 1}", false,
         "/points/p/colour", "unknown key"},
    };

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        char complaints[1024];
        struct ble_config *c = NULL;

        assert_int_equal(read_config(rows[i].section, rows[i].point, rows[i].writable, complaints, &c), -EINVAL);
        assert_null(c);
        if (strncmp(complaints, rows[i].pointer, strlen(rows[i].pointer)) != 0 || !strstr(complaints, rows[i].words))
            fail_msg("%s %s: %s", rows[i].section, rows[i].point ? rows[i].point : "", complaints);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_taken), cmocka_unit_test(test_refused)};

    return cmocka_run_group_tests(tests, setup, teardown);
}
