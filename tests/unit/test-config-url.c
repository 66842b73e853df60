/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Addresses of uplinks. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include "base/cleanup.h"
#include "base/limits.h"
#include "config/url.h"

#include <cmocka.h>
#include <errno.h>
#include <string.h>

static const struct {
    const char *text, *host;
    uint16_t port;
} good[] = {
    {"coaps://127.0.0.1:5684", "127.0.0.1", 5684},         {"coaps://coap.golioth.io", "coap.golioth.io", 5684},
    {"coaps://coap.golioth.io/", "coap.golioth.io", 5684}, {"COAPS://Example.org:1", "Example.org", 1},
    {"coaps://host_1-x:65535/", "host_1-x", 65535},        {"coaps://[::1]", "::1", 5684},
    {"coaps://[2001:db8::1]:15684", "2001:db8::1", 15684}, {"coaps://[fe80::1%25eth0]:5684", "fe80::1%eth0", 5684},
    {"coaps://[fe80::1%wlan0]/", "fe80::1%wlan0", 5684},   {"coaps://[::ffff:192.0.2.1]", "::ffff:192.0.2.1", 5684},
};

static const struct {
    const char *text;
    uint16_t port;
    bool mqtt;
} schemes[] = {
    {"coaps://x", 5684, false},
    {"mqtts://x", 8883, true},
    {"MQTTS://x:18883", 18883, true},
};

static const struct {
    const char *text, *message;
} bad[] = {
    {"", "is not the address of an uplink"},
    {"127.0.0.1:5684", "is not the address of an uplink"},
    {"://x", "is not the address of an uplink"},
    {"coap://x", "coap:// is not encrypted"},
    {"mqtt://x", "mqtt:// is not encrypted"},
    {"mqtts://::1", "stands in brackets: mqtts://[::1]"},
    {"mqtts://x/telemetry", "the path \"/telemetry\" does not belong here"},
    {"https://x", "\"https://\" is not known"},
    {"coaps://", "there is no host"},
    {"coaps://:5684", "there is no host"},
    {"coaps:///telemetry", "the path \"/telemetry\" does not belong here"},
    {"coaps://x/telemetry", "the path \"/telemetry\" does not belong here"},
    {"coaps://x?a=b", "does not belong here"},
    {"coaps://user:key@x", "do not belong into an address"},
    {"coaps://x:", "is not a port"},
    {"coaps://x:0", "is not a port"},
    {"coaps://x:65536", "is not a port"},
    {"coaps://x:99999999999999999999", "is not a port"},
    {"coaps://x:56a", "is not a port"},
    {"coaps://x y", "is not a host name"},
    {"coaps://-x", "\"-x\" is not a host name"},
    {"mqtts://.x:8883", "\".x\" is not a host name"},
    {"coaps://::1", "stands in brackets: coaps://[::1]"},
    {"coaps://[::1", "the ']' behind the IPv6 address is missing"},
    {"coaps://[]", "is not an IPv6 address"},
    {"coaps://[127.0.0.1]", "is not an IPv6 address"},
    {"coaps://[::1%]", "is not an IPv6 address"},
    {"coaps://[::1%25]", "is not an IPv6 address"},
    {"coaps://[::1]5684", "expected ':' and a port"},
};

static void test_good(void **state)
{
    for (size_t i = 0; i < ELEMENTSOF(good); i++) {
        struct config_url url;
        struct error e = {""};

        if (config_url_parse(good[i].text, &url, &e) < 0)
            fail_msg("%s: %s", good[i].text, e.text);
        assert_string_equal(url.host, good[i].host);
        assert_int_equal(url.port, good[i].port);
    }
}

static void test_schemes(void **state)
{
    for (size_t i = 0; i < ELEMENTSOF(schemes); i++) {
        struct config_url url;

        assert_int_equal(config_url_parse(schemes[i].text, &url, NULL), 0);
        assert_int_equal(url.port, schemes[i].port);
        assert_int_equal(url.mqtt, schemes[i].mqtt);
    }
}

static void test_bad(void **state)
{
    for (size_t i = 0; i < ELEMENTSOF(bad); i++) {
        struct config_url url = {.port = 42};
        struct error e = {""};

        assert_int_equal(config_url_parse(bad[i].text, &url, &e), -EINVAL);
        if (!strstr(e.text, bad[i].message))
            fail_msg("%s: %s", bad[i].text, e.text);
        assert_int_equal(url.port, 42);
    }
}

/* Addresses of a cloud's management, and of proxies. */
static void test_https(void **state)
{
    static const struct {
        const char *text;
        bool proxy;
        const char *message; /* NULL: it is right */
    } table[] = {
        {"https://api.example.org", false, NULL},
        {"https://api.example.org:8443/registry/", false, NULL},
        {"https://[::1]:28443", false, NULL},
        {"http://proxy:3128", true, NULL},
        {"https://proxy/", true, NULL},
        {"http://api.example.org", false, "http:// is not encrypted"},
        {"ftp://api.example.org", false, "is not the address of a cloud; expected https://HOST, with :PORT and /PATH"},
        {"socks5://p", true, "is not the address of a proxy; expected http://HOST:PORT"},
        {"https://", false, "there is no host; expected https://HOST"},
        {"https://h:abc", false, "\"abc\" is not a port"},
        {"https://h:99999", false, "\"99999\" is not a port"},
        {"https://h:", false, "\"\" is not a port"},
        {"https://::1", false, "stands in brackets: https://[::1]"},
        {"https://h_\xc3\xa4", false, "has a character that no address has"},
        {"https://me:word@h", false, "names and passwords"},
        {"https://h/?x=1", false, "\"/?x=1\" does not belong"},
        {"http://p:1/path", true, "\"/path\" does not belong"},
    };
    char text[HTTPS_URL_MAX + 2];
    struct error e;

    for (size_t i = 0; i < ELEMENTSOF(table); i++) {
        int r = config_https_check(table[i].text, table[i].proxy, &e);

        assert_int_equal(r, table[i].message ? -EINVAL : 0);
        if (table[i].message && !strstr(e.text, table[i].message))
            fail_msg("%s: %s", table[i].text, e.text);
    }
    memset(text, 'a', sizeof(text));
    memcpy(text, "https://h/", 10);
    text[HTTPS_URL_MAX] = 0;
    assert_int_equal(config_https_check(text, false, &e), 0);
    text[HTTPS_URL_MAX] = 'a';
    text[HTTPS_URL_MAX + 1] = 0;
    assert_int_equal(config_https_check(text, false, &e), -EINVAL);
    assert_non_null(strstr(e.text, "1024 characters; at most 1023"));
}

static void test_long(void **state)
{
    char text[2048] = "coaps://";
    struct config_url url;
    struct error e;

    for (size_t n = 200; n < 1500; n++) {
        memset(text + 8, 'a', n);
        text[8 + n] = 0;
        assert_int_equal(config_url_parse(text, &url, &e), n < CONFIG_HOST_MAX ? 0 : -EINVAL);
        memset(text + 8, '1', n);
        text[8] = '[';
        text[8 + n] = ']';
        text[9 + n] = 0;
        assert_int_equal(config_url_parse(text, &url, &e), -EINVAL);
        memcpy(text + 9, "::1%", 4);
        config_url_parse(text, &url, &e);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_good),  cmocka_unit_test(test_schemes), cmocka_unit_test(test_bad),
        cmocka_unit_test(test_https), cmocka_unit_test(test_long),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
