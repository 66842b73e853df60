/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "modbus/config.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#define N(a) (sizeof(a) / sizeof((a)[0]))
#define URL "\"url\": \"tcp://127.0.0.1\""
#define IN "{\"table\": \"input\", \"address\": 0, "
#define I16 IN "\"type\": \"int16\", "
#define SERIAL "\"url\": \"rtu:/dev/ttyUSB0\""

struct complaints {
    unsigned n;
    char pointer[256];
    char message[512];
};

static void complain(void *context, const char *pointer, const char *message)
{
    struct complaints *c = context;

    if (c->n++ == 0) {
        (void)snprintf(c->pointer, sizeof c->pointer, "%s", pointer);
        (void)snprintf(c->message, sizeof c->message, "%s", message);
    }
}

static const struct {
    const char *url;
    const char *bus; /* NULL: refused */
} urls[] = {
    {"tcp://127.0.0.1:1502", "tcp://127.0.0.1:1502"},
    {"tcp://127.0.0.1", "tcp://127.0.0.1:502"},
    {"TCP://PLC-1.Example.org:0502", "tcp://plc-1.example.org:502"},
    {"tcp://[::1]:1502", "tcp://[::1]:1502"},
    {"tcp://[FE80::1%eth0]", "tcp://[fe80::1%eth0]:502"},
    {"tcp://", NULL},
    {"tcp://:502", NULL},
    {"tcp://[::1", NULL},
    {"tcp://[::1]x", NULL},
    {"tcp://[10.0.0.1]", NULL},
    {"tcp://::1", NULL},
    {"tcp://a b", NULL},
    {"tcp://a:0", NULL},
    {"tcp://a:65536", NULL},
    {"tcp://a:", NULL},
    {"tcp://a:1/x", NULL},
    {"tcp://a/x", NULL},
    {"tcp://user@a", NULL},
    {"http://a", NULL},
    {"rtu+tcp://10.0.0.1", "rtu+tcp://10.0.0.1:502"},
    {"RTU+TCP://[::1]:4001", "rtu+tcp://[::1]:4001"},
    {"rtu:/dev/ttyUSB0", "rtu:/dev/ttyUSB0"},
    {"rtu:///dev/ttyUSB0?baud=19200", "rtu:/dev/ttyUSB0"},
    {"rtu:/dev/serial/by-id/usb-FTDI_A-if00?baud=9600&parity=even&stop=1&data=8",
     "rtu:/dev/serial/by-id/usb-FTDI_A-if00"},
    {"rtu:ttyUSB0", NULL},
    {"rtu:", NULL},
    {"rtu://host:502", NULL},
    {"rtu:/dev/a?", NULL},
    {"rtu:/dev/a?baud", NULL},
    {"rtu:/dev/a?baud=9600&baud=9600", NULL},
    {"rtu+tcp://a/x", NULL},
};

static void test_urls(void **state)
{
    (void)state;
    for (size_t i = 0; i < N(urls); i++) {
        struct modbus_url url;
        char error[256] = "", bus[BUS_MAX];
        int r = modbus_url_parse(urls[i].url, &url, error, sizeof error);
        if (!urls[i].bus) {
            assert_int_equal(r, -EINVAL);
            assert_non_null(strstr(error, "expected tcp://HOST[:PORT]"));
            continue;
        }
        assert_int_equal(r, 0);
        modbus_url_bus(&url, bus, sizeof bus);
        assert_string_equal(bus, urls[i].bus);
    }
}

static const struct {
    const char *query;
    const char *mode; /* or a part of the error */
    bool good;
    unsigned bits; /* of a character */
} modes[] = {
    {"", "9600 baud, parity none, 1 stop bit", true, 10},
    {"?baud=19200&parity=E", "19200 baud, parity even, 1 stop bit", true, 11},
    {"?parity=odd&stop=2", "9600 baud, parity odd, 2 stop bits", true, 12},
    {"?parity=mark", "9600 baud, parity mark, 1 stop bit", true, 11},
    {"?baud=115200&parity=space", "115200 baud, parity space, 1 stop bit", true, 11},
    {"?baud=9601", "baud=9601: expected 300, 600", false, 0},
    {"?parity=x", "parity=x: expected none, even, odd, mark or space", false, 0},
    {"?stop=3", "stop=3: expected 1 or 2", false, 0},
    {"?data=7", "data=7: expected 8", false, 0},
    {"?speed=9600", "unknown setting \"speed\"; expected baud, parity, stop or data", false, 0},
};

static void test_serial_modes(void **state)
{
    (void)state;
    for (size_t i = 0; i < N(modes); i++) {
        struct modbus_url url;
        char text[128], error[512] = "", mode[64];
        (void)snprintf(text, sizeof text, "rtu:/dev/ttyUSB0%s", modes[i].query);
        int r = modbus_url_parse(text, &url, error, sizeof error);
        assert_int_equal(r, modes[i].good ? 0 : -EINVAL);
        if (!modes[i].good) {
            if (!strstr(error, modes[i].mode))
                fail_msg("%s: %s", text, error);
            continue;
        }
        modbus_url_mode(&url, mode, sizeof mode);
        assert_string_equal(mode, modes[i].mode);
        assert_int_equal(modbus_url_time(&url, url.baud), modes[i].bits * SEC);
    }
    struct modbus_url slow = {.baud = 2400, .stop = 1}, fast = {.baud = 115200, .stop = 1};
    assert_int_equal(modbus_url_gap(&slow), 14583); /* 3.5 characters of 10 bits */
    assert_int_equal(modbus_url_gap(&fast), 5000);
}

/* A section or a point, the pointer of its first mistake, and a part of its message. */
static const struct {
    const char *section;
    const char *point;
    const char *pointer; /* NULL: good */
    const char *message;
} cases[] = {
    {"{" URL "}", NULL, NULL, NULL},
    {"{}", NULL, "/section", "no url"},
    {"[]", NULL, "/section", "expected a JSON object"},
    {"{\"url\": 1}", NULL, "/section/url", "expected a string"},
    {"{\"url\": \"rtu:/dev/ttyS0?baud=1\"}", NULL, "/section/url", "baud=1: expected"},
    {"{" URL ", \"unit\": 248}", NULL, NULL, NULL},
    {"{" URL ", \"unit\": 256}", NULL, "/section/unit", "0 to 255"},
    {"{" SERIAL ", \"rs485\": \"rts\", \"rts_delay\": \"1ms\", \"echo\": \"yes\", \"turnaround\": \"200ms\", "
     "\"low_latency\": false, \"gap\": \"20ms\"}",
     NULL, NULL, NULL},
    {"{" SERIAL ", \"rs485\": \"on\"}", NULL, "/section/rs485", "expected auto, kernel, rts or none"},
    {"{" SERIAL ", \"rts_delay\": \"1ms\"}", NULL, "/section/rts_delay", "works only with"},
    {"{" SERIAL ", \"rs485\": \"rts\", \"rts_delay\": \"1s\"}", NULL, "/section/rts_delay", "\"100ms\""},
    {"{" SERIAL ", \"echo\": true}", NULL, "/section/echo", "expected a string"},
    {"{" SERIAL ", \"gap\": \"6s\"}", NULL, "/section/gap", "\"5s\""},
    {"{" SERIAL ", \"turnaround\": \"6s\"}", NULL, "/section/turnaround", "\"5s\""},
    {"{" SERIAL ", \"check_transaction\": false}", NULL, "/section/check_transaction", "Modbus TCP"},
    {"{" URL ", \"rs485\": \"rts\"}", NULL, "/section/rs485", "serial lines"},
    {"{" URL ", \"echo\": \"no\"}", NULL, "/section/echo", "belongs to RTU"},
    {"{\"url\": \"rtu+tcp://a\", \"echo\": \"no\"}", NULL, NULL, NULL},
    {"{" URL ", \"gap\": \"5ms\"}", NULL, "/section/gap", "serial lines"},
    {"{" URL ", \"check_transaction\": false, \"close_on_timeout\": true, \"close_after_poll\": true}", NULL, NULL,
     NULL},
    {"{" URL ", \"retry_wait\": \"6s\"}", NULL, "/section/retry_wait", "\"5s\""},
    {"{" URL ", \"degrade_after\": 0}", NULL, "/section/degrade_after", "1 to 100"},
    {"{" URL ", \"degrade_for\": \"2h\"}", NULL, "/section/degrade_for", "\"1s\" to \"1h\""},
    {"{" URL ", \"delay_after_connect\": \"61s\"}", NULL, "/section/delay_after_connect", "\"1min\""},
    {"{" URL ", \"delay_between_requests\": \"6s\"}", NULL, "/section/delay_between_requests", "\"5s\""},
    {"{" URL ", \"unit\": 255}", NULL, NULL, NULL},
    {"{" URL ", \"unit\": \"1\"}", NULL, "/section/unit", "whole number"},
    {"{" URL ", \"interval\": \"9ms\"}", NULL, "/section/interval", "from \"10ms\" to \"1d\""},
    {"{" URL ", \"interval\": 1}", NULL, "/section/interval", "duration"},
    {"{" URL ", \"interval\": \"1 s\"}", NULL, "/section/interval", "duration"},
    {"{" URL ", \"timeout\": \"61s\"}", NULL, "/section/timeout", "duration"},
    {"{" URL ", \"retries\": 6}", NULL, "/section/retries", "0 to 5"},
    {"{" URL ", \"max_gap\": -1}", NULL, "/section/max_gap", "whole number"},
    {"{" URL ", \"max_registers\": 126}", NULL, "/section/max_registers", "1 to 125"},
    {"{" URL ", \"delay_after_connect\": \"0\", \"delay_between_requests\": \"5ms\"}", NULL, NULL, NULL},
    {"{" URL ", \"address_base\": 2}", NULL, "/section/address_base", "0 to 1"},
    {"{" URL ", \"write_multiple\": 1}", NULL, "/section/write_multiple", "true or false"},
    {"{" URL ", \"unit\": null}", NULL, "/section/unit", "null"},
    {"{" URL ", \"Unit\": 1}", NULL, "/section/Unit", "unknown key"},
    {"{" URL ", \"a/b~c\": 1}", NULL, "/section/a~1b~0c", "unknown key"},

    {NULL, "{\"table\": \"input\", \"address\": 0, \"type\": \"int16\"}", NULL, NULL},
    {NULL, "{\"table\": \"input\", \"address\": 0}", "/points/p", "no type"},
    {NULL, "{\"table\": \"input\", \"type\": \"int16\"}", "/points/p", "no address"},
    {NULL, "{\"address\": 0, \"type\": \"int16\"}", "/points/p", "no table"},
    {NULL, "{\"table\": \"inputs\", \"address\": 0, \"type\": \"int16\"}", "/points/p/table", "unknown table"},
    {NULL, "{\"table\": \"input\", \"address\": 65536, \"type\": \"int16\"}", "/points/p/address", "0 to 65535"},
    {NULL, "{\"table\": \"input\", \"address\": -1, \"type\": \"int16\"}", "/points/p/address", "expected"},
    {NULL, "{\"table\": \"input\", \"address\": 1.5, \"type\": \"int16\"}", "/points/p/address", "expected"},
    {NULL, "{\"table\": \"input\", \"address\": 65535, \"type\": \"int32\"}", "/points/p/address", "last address"},
    {NULL, "{\"table\": \"input\", \"address\": \"0xffff\", \"type\": \"int16\"}", NULL, NULL},
    {NULL, "{\"address\": \"30001\", \"type\": \"int16\"}", NULL, NULL},
    {NULL, "{\"table\": \"holding\", \"address\": \"30001\", \"type\": \"int16\"}", "/points/p/address",
     "in the table"},
    {NULL, "{\"address\": \"20001\", \"type\": \"int16\"}", "/points/p/address", "expected"},
    {NULL, "{\"address\": \"40000\", \"type\": \"int16\"}", "/points/p/address", "expected"},
    {NULL, "{\"address\": \"465537\", \"type\": \"int16\"}", "/points/p/address", "expected"},
    {NULL, "{\"table\": \"input\", \"address\": 0, \"type\": \"int24\"}", "/points/p/type", "unknown type"},
    {NULL, "{\"table\": \"coil\", \"address\": 0}", NULL, NULL},
    {NULL, "{\"table\": \"coil\", \"address\": 0, \"type\": \"int16\"}", "/points/p/type", "always of type bit"},
    {NULL, "{\"table\": \"coil\", \"address\": 0, \"bit\": 1}", "/points/p/bit", "no meaning"},
    {NULL, "{\"table\": \"input\", \"address\": 0, \"type\": \"bit\"}", "/points/p", "no bit"},
    {NULL, "{\"table\": \"input\", \"address\": 0, \"type\": \"bit\", \"bit\": 16}", "/points/p/bit", "0 to 15"},
    {NULL, "{\"table\": \"input\", \"address\": 0, \"type\": \"string\"}", "/points/p", "no length"},
    {NULL, "{\"table\": \"input\", \"address\": 0, \"type\": \"string\", \"length\": 247}", "/points/p/length",
     "1 to 246"},
    {NULL, "{\"table\": \"input\", \"address\": 0, \"type\": \"int16\", \"length\": 2}", "/points/p/length",
     "no meaning for type int16"},
    {NULL, "{\"table\": \"input\", \"address\": 0, \"type\": \"int32\", \"order\": \"AB\"}", "/points/p/order",
     "ABCD, DCBA, BADC, CDAB"},
    {NULL, "{\"table\": \"input\", \"address\": 0, \"type\": \"int8h\", \"order\": \"AB\"}", "/points/p/order",
     "no meaning"},
    {NULL, "{\"table\": \"input\", \"address\": 0, \"type\": \"int16\", \"scale\": 0}", "/points/p/scale", "0"},
    {NULL, "{\"table\": \"input\", \"address\": 0, \"type\": \"int16\", \"scale\": \"x\"}", "/points/p/scale",
     "number"},
    {NULL, "{\"table\": \"input\", \"address\": 0, \"type\": \"int16\", \"decimals\": 1}", "/points/p/decimals",
     "whole number without scale"},
    {NULL, "{\"table\": \"input\", \"address\": 0, \"type\": \"float32\", \"decimals\": 1}", NULL, NULL},
    {NULL, "{\"table\": \"input\", \"address\": 0, \"type\": \"int16\", \"invalid\": [-32768, \"0x7fff\"]}", NULL,
     NULL},
    {NULL, "{\"table\": \"input\", \"address\": 0, \"type\": \"int16\", \"invalid\": 32768}", "/points/p/invalid",
     "raw values of type int16"},
    {NULL, "{\"table\": \"input\", \"address\": 0, \"type\": \"int16\", \"invalid\": \"0x18000\"}", "/points/p/invalid",
     "raw values"},
    {NULL, "{\"table\": \"input\", \"address\": 0, \"type\": \"int16\", \"deadband\": 1}", "/points/p/deadband",
     "on_change"},
    {NULL, "{\"table\": \"input\", \"address\": 0, \"type\": \"int16\", \"on_change\": true, \"deadband\": -1}",
     "/points/p/deadband", "negative"},
    {NULL, "{\"table\": \"input\", \"address\": 0, \"type\": \"int16\", \"interval\": \"50ms\"}", NULL, NULL},
    {NULL, "{\"table\": \"input\", \"address\": 0, \"type\": \"int16\", \"sclae\": 1}", "/points/p/sclae",
     "unknown key"},
    {NULL, I16 "\"max_interval\": \"1min\"}", "/points/p/max_interval", "works only with \"on_change\""},
    {NULL, I16 "\"on_change\": true, \"max_interval\": \"2d\"}", "/points/p/max_interval", "\"1d\""},
    {NULL, I16 "\"poll\": 0}", "/points/p/poll", "true or false"},
    {NULL, I16 "\"poll\": false, \"on_change\": true}", "/points/p/on_change", "no meaning with"},
    {NULL, I16 "\"mask\": \"0x0ff0\", \"shift\": 4}", NULL, NULL},
    {NULL, I16 "\"mask\": 65536}", "/points/p/mask", "1 to 65535"},
    {NULL, I16 "\"mask\": 0}", "/points/p/mask", "1 to 65535"},
    {NULL, I16 "\"mask\": \"0x0ff0\", \"shift\": 5}", "/points/p/shift", "0 to 4"},
    {NULL, I16 "\"shift\": 4}", "/points/p/shift", "works only with \"mask\""},
    {NULL, IN "\"type\": \"float32\", \"mask\": 1}", "/points/p/mask", "no meaning for type float32"},
    {NULL, IN "\"type\": \"bcd16\", \"mask\": 1}", "/points/p/mask", "no meaning for type bcd16"},
    {NULL, I16 "\"valid_min\": 5, \"valid_max\": 4}", "/points/p/valid_min", "more than valid_max"},
    {NULL, I16 "\"valid_min\": \"x\"}", "/points/p/valid_min", "number"},
    {NULL, IN "\"type\": \"string\", \"length\": 4, \"valid_min\": 1}", "/points/p/valid_min", "no meaning"},
    {NULL, I16 "\"on\": 1}", "/points/p/on", "belong together"},
    {NULL, I16 "\"on\": 1, \"off\": 1}", "/points/p/off", "same"},
    {NULL, I16 "\"on\": 70000, \"off\": 1}", "/points/p/on", "raw value of type int16"},
    {NULL, I16 "\"on\": 1, \"off\": 0, \"scale\": 2}", "/points/p/on", "scale or offset"},
    {NULL, I16 "\"invert\": true}", "/points/p/invert", "no meaning"},
    {NULL, "{\"table\": \"coil\", \"address\": 0, \"invert\": true}", NULL, NULL},
    {NULL, I16 "\"values\": []}", "/points/p/values", "1 to 64 names"},
    {NULL, I16 "\"values\": [\"a\", \"a\"]}", "/points/p/values", "none twice"},
    {NULL, I16 "\"values\": [\"a\", 1]}", "/points/p/values", "names"},
    {NULL, I16 "\"values\": {\"x\": \"a\"}}", "/points/p/values", "{\"1\": \"off\"}"},
    {NULL, I16 "\"values\": [1, 70000]}", "/points/p/values", "raw values that are allowed"},
    {NULL, I16 "\"values\": [-32769]}", "/points/p/values", "raw values that are allowed"},
    {NULL, I16 "\"values\": {\"1.5\": \"a\"}}", "/points/p/values", "{\"1\": \"off\"}"},
    {NULL, I16 "\"values\": {\"\": \"a\"}}", "/points/p/values", "{\"1\": \"off\"}"},
    {NULL, I16 "\"values\": [\"0x01\", \"a\"]}", "/points/p/values", "raw values that are allowed"},
    /* what would spill over the mask */
    {NULL, I16 "\"mask\": 15, \"values\": [1, 16]}", "/points/p/values", "within the mask"},
    {NULL, I16 "\"mask\": 1, \"values\": [\"a\", \"b\", \"c\"]}", "/points/p/values", "within the mask"},
    {NULL, I16 "\"mask\": \"0x0ff0\", \"values\": {\"256\": \"a\"}}", "/points/p/values", "within the mask"},
    {NULL, I16 "\"mask\": 15, \"on\": 16, \"off\": 0}", "/points/p/on", "fits the mask"},
    {NULL, I16 "\"mask\": 15, \"on\": 1, \"off\": \"0x10\"}", "/points/p/off", "fits the mask"},
    {NULL, I16 "\"values\": [\"a\"], \"scale\": 2}", "/points/p/values", "scale or offset"},
    {NULL, I16 "\"values\": [0, 5], \"scale\": 2}", NULL, NULL},
    {NULL, I16 "\"write_interval\": \"1s\"}", "/points/p/write_interval", "writable"},
    {NULL, I16 "\"write_multiple\": 1}", "/points/p/write_multiple", "true or false"},
    {NULL, I16 "\"count\": 126}", "/points/p/count", "1 to 125"},
    {NULL, "{\"table\": \"input\", \"address\": 65530, \"type\": \"int16\", \"count\": 7}", "/points/p/address",
     "7 registers"},
    {NULL, I16 "\"scale_register\": 124}", NULL, NULL},
    {NULL, I16 "\"scale_register\": 125}", "/points/p/scale_register", "126 registers apart"},
    {NULL, I16 "\"scale_register\": \"40001\"}", "/points/p/scale_register", "in the table holding"},
    {NULL, "{\"table\": \"coil\", \"address\": 0, \"scale_register\": 1}", "/points/p/scale_register", "coil"},
    {NULL, I16 "\"group\": \"\"}", "/points/p/group", "1 to 32"},
    {NULL, I16 "\"group\": \"g\", \"alone\": true}", "/points/p/alone", "\"group\""},
    {NULL, IN "\"type\": \"string\", \"length\": 124, \"chars\": \"low\"}", "/points/p/length", "1 to 123"},
    {NULL, IN "\"type\": \"string\", \"length\": 4, \"chars\": \"one\"}", "/points/p/chars", "two, low or high"},
    {NULL, IN "\"type\": \"string\", \"length\": 4, \"words\": \"back\"}", "/points/p/words", "forward or reversed"},
    {NULL, IN "\"type\": \"string\", \"length\": 4, \"charset\": \"ascii\"}", "/points/p/charset", "utf8 or latin1"},
    {NULL, IN "\"type\": \"string\", \"length\": 4, \"chars\": \"low\", \"order\": \"BA\"}", "/points/p/order",
     "no meaning"},
    {NULL, I16 "\"charset\": \"latin1\"}", "/points/p/charset", "no meaning"},
    {NULL, IN "\"type\": \"int64\", \"order\": \"CDAB\"}", NULL, NULL},
    {NULL, IN "\"type\": \"int64\", \"order\": \"ABDC\"}", "/points/p/order", "GHEFCDAB"},
    {"{" SERIAL ", \"unit\": 0}", I16 "\"poll\": true}", "/points/p", "\"poll\": false"},
    {"{" SERIAL ", \"unit\": 0}", I16 "\"poll\": false}", NULL, NULL},
    {"{" URL ", \"unit\": 0}", I16 "\"poll\": true}", NULL, NULL},
    {"{" URL ", \"max_registers\": 2}", "{\"table\": \"input\", \"address\": 0, \"type\": \"int64\"}", "/points/p/type",
     "max_registers is 2"},
    {"{" URL ", \"address_base\": 1}", "{\"table\": \"input\", \"address\": 0, \"type\": \"int16\"}",
     "/points/p/address", "1 to 65536"},
};

static void test_mistakes(void **state)
{
    (void)state;
    for (size_t i = 0; i < N(cases); i++) {
        struct gatehouse_point point = {.name = "p", .config = cases[i].point};
        const char *section = cases[i].section ? cases[i].section : "{" URL "}";
        struct complaints c = {0};
        int r = modbus_config_read(section, &point, cases[i].point != NULL, complain, &c, NULL);
        if (!cases[i].pointer) {
            if (r != 0)
                fail_msg("%zu: %s: %s", i, c.pointer, c.message);
            continue;
        }
        assert_int_equal(r, -EINVAL);
        assert_string_equal(c.pointer, cases[i].pointer);
        if (!strstr(c.message, cases[i].message))
            fail_msg("%zu: %s", i, c.message);
    }
}

static void test_all_mistakes_at_once(void **state)
{
    const struct gatehouse_point points[] = {
        {.name = "a", .config = "{\"table\": \"input\"}"},
        {.name = "b", .config = "{\"table\": \"input\", \"address\": 0, \"type\": \"bit\", \"bit\": 0}"},
        {.name = "c", .writable = true, .config = "{\"table\": \"input\", \"address\": 0, \"type\": \"int16\"}"},
    };
    struct complaints c = {0};

    (void)state;
    assert_int_equal(modbus_config_read("{\"unit\": 300}", points, N(points), complain, &c, NULL), -EINVAL);
    assert_int_equal(c.n, 4); /* the url, the unit, an address, what cannot be written */
}

/* Points of one group differ in nothing that matters to the request that reads them all. */
static void test_groups_and_rows(void **state)
{
    const struct gatehouse_point points[] = {
        {.name = "a", .config = "{\"table\": \"input\", \"address\": 5, \"type\": \"int16\", \"group\": \"g\"}"},
        {.name = "b", .config = "{\"table\": \"input\", \"address\": 90, \"type\": \"int32\", \"group\": \"g\"}"},
        {.name = "row",
         .unit = "V",
         .config = "{\"table\": \"input\", \"address\": 10, \"type\": \"uint32\", \"count\": 3, "
                   "\"values\": {\"1\": \"on\"}}"},
    };
    struct gatehouse_point bad[2] = {points[0], points[1]};
    struct complaints complaints = {0};
    struct modbus_config *c = NULL;

    (void)state;
    assert_int_equal(modbus_config_read("{" URL "}", points, N(points), complain, &complaints, &c), 0);
    assert_int_equal(c->n_points, 5);
    assert_int_equal(c->points[0].read_address, 5);
    assert_int_equal(c->points[0].read_count, 87);
    assert_int_equal(c->points[1].read_address, 5);
    assert_int_equal(c->points[1].read_count, 87);
    assert_int_equal(c->points[0].group_number, c->points[1].group_number);
    assert_string_equal(c->points[2].name, "row.1");
    assert_string_equal(c->points[4].name, "row.3");
    assert_string_equal(c->points[4].unit, "V");
    assert_int_equal(c->points[4].address, 14);
    assert_int_equal(c->points[4].read_address, 14);
    assert_string_equal(c->points[4].format.choices[0].name, "on");
    modbus_config_free(c);

    bad[1].config = "{\"table\": \"holding\", \"address\": 90, \"type\": \"int32\", \"group\": \"g\"}";
    assert_int_equal(modbus_config_read("{" URL "}", bad, 2, complain, &complaints, NULL), -EINVAL);
    assert_string_equal(complaints.pointer, "/points/b/group");
    complaints = (struct complaints){0};
    bad[1].config = "{\"table\": \"input\", \"address\": 130, \"type\": \"int32\", \"group\": \"g\"}";
    assert_int_equal(modbus_config_read("{" URL "}", bad, 2, complain, &complaints, NULL), -EINVAL);
    assert_non_null(strstr(complaints.message, "too far apart"));
}

static void test_reading(void **state)
{
    const struct gatehouse_point points[] = {
        {.name = "t",
         .unit = "Cel",
         .config = "{\"table\": \"input\", \"address\": 7, \"type\": \"int16\", \"scale\": 0.1, \"offset\": -40.25}"},
        {.name = "s",
         .writable = true,
         .config = "{\"address\": \"400011\", \"type\": \"string\", \"length\": 5, \"interval\": \"1min\"}"},
    };
    struct modbus_config *c = NULL;
    struct complaints complaints = {0};

    (void)state;
    assert_int_equal(modbus_config_read("{" URL ", \"unit\": 7, \"interval\": \"2s\", \"address_base\": 1}", points,
                                        N(points), complain, &complaints, &c),
                     0);
    assert_int_equal(c->unit, 7);
    assert_int_equal(c->interval, 2 * SEC);
    assert_int_equal(c->timeout, TIMEOUT_DEFAULT);
    assert_int_equal(c->limits.max_gap, 0);
    assert_int_equal(c->limits.max_registers, 125);
    assert_int_equal(c->n_points, 2);
    assert_string_equal(c->points[0].unit, "Cel");
    assert_int_equal(c->points[0].address, 6); /* from 1 */
    assert_int_equal(c->points[0].interval, 2 * SEC);
    assert_int_equal(c->points[0].format.decimals, 2);
    assert_int_equal(c->points[1].table, TABLE_HOLDING);
    assert_int_equal(c->points[1].address, 10); /* notation has its own base */
    assert_int_equal(c->points[1].count, 3);
    assert_int_equal(c->points[1].interval, MINUTE);
    assert_true(c->points[1].writable);
    modbus_config_free(c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_urls),
        cmocka_unit_test(test_serial_modes),
        cmocka_unit_test(test_mistakes),
        cmocka_unit_test(test_all_mistakes_at_once),
        cmocka_unit_test(test_groups_and_rows),
        cmocka_unit_test(test_reading),
    };

    return cmocka_run_group_tests_name("modbus-config", tests, NULL, NULL);
}
