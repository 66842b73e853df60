/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Whole configuration directories: what is read, what is left out, what differs, what is stored. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include "base/durable.h"
#include "base/limits.h"
#include "config/config.h"
#include "config/diff.h"

#include <cmocka.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define UPLINKS "{ \"uplinks\": { \"cloud\": { \"url\": \"coaps://x\" }, \"other\": { \"url\": \"coaps://y\" } } }"
#define DEVICE(id) "{ \"device\": \"" id "\", \"uplink\": \"cloud\", \"driver\": \"sim\" }"

struct tree {
    char root[32], config[48], state[48];
    struct config_paths paths;
};

static void make(struct tree *t, const char *directory, const char *name, const char *text)
{
    char path[160];

    snprintf(path, sizeof(path), "%s/%s", directory, name);
    assert_int_equal(durable_write(AT_FDCWD, path, text, strlen(text), 0600, NULL), 0);
}

static int setup(void **state)
{
    struct tree *t = calloc(1, sizeof(*t));
    char path[96];

    assert_non_null(t);
    strcpy(t->root, "/tmp/test-config-XXXXXX");
    assert_non_null(mkdtemp(t->root));
    snprintf(t->config, sizeof(t->config), "%s/etc", t->root);
    snprintf(t->state, sizeof(t->state), "%s/var", t->root);
    t->paths = (struct config_paths){t->config, t->state};
    mkdir(t->config, 0700);
    mkdir(t->state, 0700);
    snprintf(path, sizeof(path), "%s/devices.d", t->config);
    mkdir(path, 0700);
    make(t, t->config, "gatehouse.json", UPLINKS);
    *state = t;
    return 0;
}

static void empty(const char *directory)
{
    DIR *d = opendir(directory);
    struct dirent *entry;

    while (d && (entry = readdir(d))) {
        char path[600];

        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
            continue;
        snprintf(path, sizeof(path), "%s/%s", directory, entry->d_name);
        if (unlink(path) < 0)
            empty(path);
    }
    if (d)
        closedir(d);
    rmdir(directory);
}

static int teardown(void **state)
{
    struct tree *t = *state;

    empty(t->root);
    free(t);
    return 0;
}

/* Loads, and tells what was noted if that is not what was expected. */
static struct config *load(struct tree *t, enum config_flags flags, int r, const char *expected)
{
    _cleanup_(mistakes_done) struct mistakes m = {0};
    _cleanup_free_ char *text = NULL;
    struct config *c = NULL;
    int k = config_load(&t->paths, flags, &c, &m);
    const char *p;

    assert_int_equal(mistakes_format(&m, &text), 0);
    /* Each line of what is expected stands in a line of what is told, in this order, behind the root. */
    for (p = text; *expected; expected += strcspn(expected, "\n") + (expected[strcspn(expected, "\n")] != 0)) {
        char *line = strndup(expected, strcspn(expected, "\n"));
        const char *found = strstr(p, line);

        if (!found)
            fail_msg("%s\nis not in\n%s", line, text);
        p = found + strlen(line);
        free(line);
    }
    if (k != r || strchr(p, '\n') || (!*expected && p == text && *text))
        fail_msg("%d: %s", k, text);
    return c;
}

static void test_one_bad_device(void **state)
{
    struct tree *t = *state;
    struct config *c;

    make(t, t->config, "devices.d/b.json", DEVICE("b"));
    make(t, t->config, "devices.d/a.json", "{ \"device\": \"a\", \"uplink\": \"cloud\", \"driver\": 1 }");
    make(t, t->config, "devices.d/c.json", DEVICE("C"));
    make(t, t->config, "devices.d/d.json", "{");
    c = load(t, CONFIG_LENIENT, 0, "/etc/devices.d/a.json:1:47: \n/etc/devices.d/d.json:1:2: ");
    assert_int_equal(c->n_devices, 2);
    assert_string_equal(c->devices[0]->id, "C");
    assert_string_equal(c->devices[1]->id, "b");
    assert_ptr_equal(config_device(c, "b"), c->devices[1]);
    assert_null(config_device(c, "a"));
    assert_null(config_device(c, "c"));
    config_unref(c);
    c = load(t, CONFIG_STRICT, -EBADMSG, "/etc/devices.d/a.json:1:47: \n/etc/devices.d/d.json:1:2: ");
    assert_null(c);
}

static void test_bad_gatehouse(void **state)
{
    struct tree *t = *state;
    char path[96];

    make(t, t->config, "gatehouse.json", "{\n  \"spool\": 1 }");
    make(t, t->config, "devices.d/a.json", DEVICE("a"));
    make(t, t->config, "devices.d/b.json", "[]");
    assert_null(load(t, CONFIG_LENIENT, -EBADMSG, "/etc/gatehouse.json:2:12: "));
    /* All mistakes; that the uplinks are not known is not one of the device's. */
    assert_null(load(t, CONFIG_STRICT, -EBADMSG, "/etc/gatehouse.json:2:12: \n/etc/devices.d/b.json:1:1: "));
    snprintf(path, sizeof(path), "%s/gatehouse.json", t->config);
    unlink(path);
    assert_null(load(t, CONFIG_LENIENT, -EBADMSG, "/etc/gatehouse.json: cannot open"));
    mkdir(path, 0700);
    assert_null(load(t, CONFIG_LENIENT, -EBADMSG, "/etc/gatehouse.json: "));
}

static void test_same_id(void **state)
{
    struct tree *t = *state;
    struct config *c;
    char path[96];

    snprintf(path, sizeof(path), "%s/devices.d", t->state);
    mkdir(path, 0700);
    make(t, t->config, "devices.d/a.json", DEVICE("a"));
    make(t, t->config, "devices.d/b.json", DEVICE("b"));
    make(t, t->state, "devices.d/x.json", DEVICE("a"));
    make(t, t->state, "devices.d/y.json", DEVICE("y"));
    c = load(t, CONFIG_LENIENT, 0,
             "/etc/devices.d/a.json:1:13: the device \"a\" is also in \n/var/devices.d/x.json; neither is loaded\n"
             "/var/devices.d/x.json:1:13: the device \"a\" is also in \n/etc/devices.d/a.json; neither is loaded");
    assert_int_equal(c->n_devices, 2);
    assert_false(config_device(c, "b")->removable);
    assert_true(config_device(c, "y")->removable);
    config_unref(c);
    /* Also if one of them is bad in other ways: which one is meant is not for us to say. */
    make(t, t->state, "devices.d/x.json", "{ \"device\": \"a\" }");
    c = load(t, CONFIG_LENIENT, 0,
             "/var/devices.d/x.json:1:1: \"uplink\"\n/var/devices.d/x.json:1:1: \"driver\"\n"
             "/etc/devices.d/a.json:1:13: the device\n; neither is loaded\n"
             "/var/devices.d/x.json:1:13: the device\n; neither is loaded");
    assert_null(config_device(c, "a"));
    config_unref(c);
}

#define MQTT_DEVICE(id, uplink, rest)                                                                                  \
    "{ \"device\": \"" id "\", \"uplink\": \"" uplink "\", \"driver\": \"sim\"" rest " }"
#define HARDWARE(id) ",\n \"hardware_id\": \"" id "\""

/* Who would be the same to the same broker is not loaded, whichever uplinks lead there, with whichever of their hosts.
 */
static void test_same_client_id(void **state)
{
    const char first[] = MQTT_DEVICE("new", "named", ""), second[] = MQTT_DEVICE("new", "wired", HARDWARE("other"));
    _cleanup_(mistakes_done) struct mistakes m = {0};
    _cleanup_(config_device_unrefp) struct config_device *added = NULL;
    struct tree *t = *state;
    struct config *c;

    make(
        t, t->config, "gatehouse.json",
        "{ \"uplinks\": {"
        "\"wired\": { \"url\": \"mqtts://broker\", \"client_id\": \"{hardware_id}\" },"
        "\"named\": { \"url\": \"mqtts://Broker:8883\" },"
        "\"opaque\": { \"url\": \"mqtts://broker\", \"client_id\": \"{opaque}\" },"
        "\"spare\": { \"url\": [\"mqtts://spare\", \"mqtts://b\", \"mqtts://BROKER\"], \"client_id\": \"{hardware_id}\" },"
        "\"far\": { \"url\": [\"mqtts://broker:8884\", \"mqtts://broker.b\"], \"client_id\": \"{hardware_id}\" },"
        "\"coap\": { \"url\": \"coaps://broker\" } } }");
    make(t, t->config, "devices.d/a.json", MQTT_DEVICE("a", "wired", HARDWARE("0011")));
    make(t, t->config, "devices.d/b.json", MQTT_DEVICE("b", "wired", HARDWARE("0011")));
    make(t, t->config, "devices.d/c.json", MQTT_DEVICE("c", "wired", HARDWARE("new")));
    make(t, t->config, "devices.d/d.json", MQTT_DEVICE("d", "wired", HARDWARE("e")));
    make(t, t->config, "devices.d/e.json", MQTT_DEVICE("e", "named", ""));
    make(t, t->config, "devices.d/k.json", MQTT_DEVICE("k", "wired", HARDWARE("two")));
    make(t, t->config, "devices.d/l.json", MQTT_DEVICE("l", "spare", HARDWARE("two")));
    /* These are none: another broker, none at all, not to be connected, what only the device itself has. */
    make(t, t->config, "devices.d/f.json", MQTT_DEVICE("f", "far", HARDWARE("0011")));
    make(t, t->config, "devices.d/g.json", MQTT_DEVICE("g", "coap", HARDWARE("0011")));
    make(t, t->config, "devices.d/h.json", MQTT_DEVICE("h", "wired", HARDWARE("0011") ", \"enabled\": false"));
    make(t, t->config, "devices.d/i.json", MQTT_DEVICE("i", "opaque", HARDWARE("0011")));
    make(t, t->config, "devices.d/j.json", MQTT_DEVICE("j", "opaque", HARDWARE("0011")));
    c = load(
        t, CONFIG_LENIENT, 0,
        "/etc/devices.d/a.json:2:17: the client id \"0011\" of \"a\" at the broker broker:8883 is also that of \"b\" in\n"
        "/etc/devices.d/b.json, so\nneither is loaded\n"
        "/etc/devices.d/b.json:2:17: the client id \"0011\" of \"b\"\n that of \"a\" in\n"
        "/etc/devices.d/d.json:2:17: the client id \"e\" of \"d\"\n that of \"e\" in\n"
        "/etc/devices.d/e.json:1:13: the client id \"e\" of \"e\"\n that of \"d\" in\nneither is loaded\n"
        "/k.json:2:17: the client id \"two\" of \"k\" at the broker broker:8883 is also that of \"l\" in\n"
        "/l.json:2:17: the client id \"two\" of \"l\" at the broker broker:8883 is also that of \"k\" in\n");
    assert_int_equal(c->n_devices, 6);
    assert_null(config_device(c, "a"));
    assert_non_null(config_device(c, "c"));
    /* Nor is one added that would be another to its broker. */
    assert_int_equal(config_device_parse(c, "x.json", first, strlen(first), &added, &m), -EEXIST);
    assert_int_equal(m.n, 1);
    assert_true(m.list[0].line == 1 && m.list[0].column == 13 && strstr(m.list[0].text, "that of \"c\" in"));
    assert_int_equal(config_device_parse(c, "x.json", second, strlen(second), &added, &m), 0);
    config_unref(c);
    load(
        t, CONFIG_STRICT, -EBADMSG,
        "/a.json:2:17: the client id\n/b.json:2:17: the client id\n/d.json:2:17: the client id\n/e.json:1:13: the client id\n"
        "/k.json:2:17: the client id\n/l.json:2:17: the client id");
}

static void test_skipped_files(void **state)
{
    static const char *const names[] = {
        ".hidden.json", "a.json~", "a.json.bak", "a.json.dpkg-old", "a.json.dpkg-new", "a.json.dpkg-dist",
        "#a.json#",     "README",  "json",       "a.jsonx"};
    struct tree *t = *state;
    struct config *c;

    for (size_t i = 0; i < ELEMENTSOF(names); i++) {
        char name[64];

        snprintf(name, sizeof(name), "devices.d/%s", names[i]);
        make(t, t->config, name, "not JSON");
    }
    c = load(t, CONFIG_STRICT, 0, "");
    assert_int_equal(c->n_devices, 0);
    config_unref(c);
}

static void test_values(void **state)
{
    struct tree *t = *state;
    const struct config_device *d;
    const struct config_uplink *u;
    struct config *c;

    make(
        t, t->config, "devices.d/a.json",
        "{ \"device\": \"a\", \"uplink\": \"other\", \"driver\": \"modbus\", // a comment\n"
        "  \"modbus\": { \"url\": \"tcp://x/\", \"scale\": 0.10 },\n"
        "  \"points\": { \"p\": { \"unit\": \"Cel\", \"min\": 5, \"max\": 30.5, \"writable\": true, \"address\": 1 }, \"a\": {} } }");
    c = load(t, CONFIG_STRICT, 0, "");
    d = config_device(c, "a");
    assert_string_equal(d->uplink, "other");
    assert_string_equal(d->driver, "modbus");
    assert_true(d->enabled && !d->on_demand);
    assert_string_equal(d->section, "{\"url\":\"tcp://x/\",\"scale\":0.10}");
    /* What the driver gets: limits are the agent's. */
    assert_string_equal(d->points_text, "{\"p\":{\"unit\":\"Cel\",\"writable\":true,\"address\":1},\"a\":{}}");
    assert_int_equal(d->n_points, 2);
    assert_true(config_point(d, "p")->min == 5 && config_point(d, "p")->max == 30.5 && config_point(d, "p")->writable);
    assert_true(config_point(d, "a")->min == -INFINITY && config_point(d, "a")->max == INFINITY);
    assert_null(config_point(d, "a")->unit);
    assert_null(config_point(d, "b"));
    u = config_uplink(c, "cloud");
    assert_string_equal(u->host, "x");
    assert_int_equal(u->port, 5684);
    assert_string_equal(u->profile, "senml");
    assert_string_equal(u->identity, "{opaque}-{n}");
    assert_string_equal(u->suites[0], "ecdhe-psk");
    assert_string_equal(u->suites[1], "psk");
    assert_null(u->suites[2]);
    assert_int_equal(u->registrar.type, CONFIG_REGISTRAR_MANUAL);
    assert_true(u->keepalive == COAP_KEEPALIVE);
    assert_int_equal(u->admission.concurrent, ADMISSION_CONCURRENT);
    assert_null(config_uplink(c, "none"));
    assert_true(c->rotation.max_age == 90 * USEC_PER_DAY && c->rotation.retire_after == USEC_PER_DAY);
    assert_int_equal(c->spool.durability, CONFIG_DURABILITY_OUTAGE);
    assert_false(c->clock_trust);
    assert_int_equal(c->spool.max_bytes, 64 << 20);
    config_unref(c);
    make(
        t, t->config, "gatehouse.json",
        "{\"uplinks\":{\"other\":{\"url\":\"coaps://[::1]:1\",\"suites\":[\"psk-ccm8\"],\"max_payload\":\"1K\",\n"
        "\"registrar\":{\"type\":\"coap\",\"mode\":\"replaces\",\"offer_without_pfs\":true},\"admission\":\"unlimited\"}},\n"
        "\"clock\":\"trust\",\"rotation\":{\"max_age\":\"20s\"},\"spool\":{\"durability\":\"memory\",\"max_age\":\"1h\"}}");
    c = load(t, CONFIG_STRICT, 0, "");
    u = config_uplink(c, "other");
    assert_string_equal(u->host, "::1");
    assert_string_equal(u->identity, "{opaque}");
    assert_true(u->registrar.replaces && u->registrar.offer_without_pfs && u->admission.unlimited);
    assert_int_equal(u->registrar.type, CONFIG_REGISTRAR_COAP);
    assert_int_equal(u->max_payload, 1024);
    assert_null(u->registrar.settings);
    assert_true(c->rotation.max_age == 20 * USEC_PER_SEC && c->rotation.retire_after == 5 * USEC_PER_SEC);
    assert_int_equal(c->spool.durability, CONFIG_DURABILITY_MEMORY);
    assert_true(c->clock_trust);
    config_unref(c);
}

/* What a registrar of its own process is told, and the identities that its cloud knows. */
static void test_registrars(void **state)
{
    static const struct {
        const char *registrar, *name, *settings, *encoding, *identity;
    } table[] = {
        {"\"type\":\"golioth\",\"project\":\"barn\"", "golioth",
         "{\"type\":\"golioth\",\"project\":\"barn\",\"url\":\"https://api.golioth.io\"}", "text", "{opaque}-{n}@barn"},
        {"\"type\":\"hono\",\"name\":\"east\",\"mode\":\"replaces\",\"tenant\":\"t\",\"url\":\"https://r\",\"ca\":\"/c\"",
         "east", "{\"type\":\"hono\",\"tenant\":\"t\",\"url\":\"https://r\",\"ca\":\"/c\"}", "base64", "{opaque}@t"},
        {"\"type\":\"exec\",\"program\":\"tell\"", "exec",
         "{\"type\":\"exec\",\"program\":\"tell\",\"timeout\":\"30s\"}", "hex", "{opaque}-{n}"},
    };
    struct tree *t = *state;
    char text[512];

    for (size_t i = 0; i < ELEMENTSOF(table); i++) {
        const struct config_uplink *u;
        struct config *c;

        snprintf(text, sizeof(text), "{\"uplinks\":{\"cloud\":{\"url\":\"coaps://x\",\"registrar\":{%s}}}}",
                 table[i].registrar);
        make(t, t->config, "gatehouse.json", text);
        c = load(t, CONFIG_STRICT, 0, "");
        u = config_uplink(c, "cloud");
        assert_string_equal(u->registrar.name, table[i].name);
        assert_string_equal(u->registrar.settings, table[i].settings);
        assert_string_equal(u->registrar.encoding, table[i].encoding);
        assert_string_equal(u->identity, table[i].identity);
        config_unref(c);
    }
}

#define FULL(driver, uplink, section, max, enabled)                                                                    \
    "{ \"device\": \"b\", \"uplink\": \"" uplink "\", \"driver\": \"" driver "\", \"" driver "\": {" section           \
    "}, \"enabled\": " enabled ", \"points\": { \"p\": { \"writable\": true, \"max\": " max " } } }"

static void test_diff(void **state)
{
    static const struct {
        const char *text;
        unsigned what;
    } table[] = {
        {FULL("sim", "cloud", "", "1", "true"), 0},
        {"\n// a comment\n" FULL("sim", "cloud", "  ", "1", "true"), 0},
        {FULL("sim", "cloud", "\"a\":1", "1", "true"), CONFIG_DEVICE_DRIVER},
        {FULL("ble", "cloud", "", "1", "true"), CONFIG_DEVICE_DRIVER},
        {FULL("sim", "other", "", "1", "true"), CONFIG_DEVICE_UPLINK},
        {FULL("sim", "cloud", "", "2", "true"), CONFIG_DEVICE_POINTS},
        {FULL("sim", "cloud", "", "1", "true, \"hardware_id\": \"serial-1\""), CONFIG_DEVICE_NAMES},
        {FULL("sim", "cloud", "", "1", "true, \"session\": \"on-demand\""), CONFIG_DEVICE_OWN},
        {FULL("sim", "cloud", "", "1, \"unit\": \"Cel\"", "true"), CONFIG_DEVICE_DRIVER | CONFIG_DEVICE_POINTS},
        {FULL("sim", "cloud", "", "1", "false"), CONFIG_DEVICE_ENABLED},
        {FULL("ble", "other", "", "2", "false"),
         CONFIG_DEVICE_DRIVER | CONFIG_DEVICE_UPLINK | CONFIG_DEVICE_POINTS | CONFIG_DEVICE_ENABLED},
    };
    struct tree *t = *state;
    struct config *before, *after;
    struct config_diff diff;

    make(t, t->config, "devices.d/b.json", table[0].text);
    before = load(t, CONFIG_STRICT, 0, "");
    for (size_t i = 0; i < ELEMENTSOF(table); i++) {
        make(t, t->config, "devices.d/b.json", table[i].text);
        after = load(t, CONFIG_STRICT, 0, "");
        assert_int_equal(config_diff(before, after, &diff), 0);
        assert_int_equal(diff.n_devices, table[i].what ? 1 : 0);
        if (table[i].what)
            assert_int_equal(diff.devices[0].what, table[i].what);
        assert_int_equal(diff.n_uplinks, 0);
        assert_int_equal(diff.global, 0);
        config_diff_done(&diff);
        config_unref(after);
    }
    /* a added, b as before, c added; then the other way round */
    make(t, t->config, "devices.d/a.json", DEVICE("a"));
    make(t, t->config, "devices.d/b.json", table[0].text);
    make(t, t->config, "devices.d/c.json", DEVICE("c"));
    after = load(t, CONFIG_STRICT, 0, "");
    assert_int_equal(config_diff(before, after, &diff), 0);
    assert_int_equal(diff.n_devices, 2);
    assert_null(diff.devices[0].before);
    assert_string_equal(diff.devices[0].after->id, "a");
    assert_string_equal(diff.devices[1].after->id, "c");
    config_diff_done(&diff);
    assert_int_equal(config_diff(after, before, &diff), 0);
    assert_int_equal(diff.n_devices, 2);
    assert_null(diff.devices[1].after);
    assert_string_equal(diff.devices[1].before->id, "c");
    config_diff_done(&diff);
    config_unref(after);
    config_unref(before);
}

static void test_diff_globals(void **state)
{
    static const struct {
        const char *uplink, *rest;
        unsigned what, global;
    } table[] = {
        {"\"url\":\"coaps://x\"", "", 0, 0},
        {"\"url\":\"coaps://x:5684/\"", "", 0, 0},
        {"\"url\":\"coaps://x:1\"", "", CONFIG_UPLINK_ENDPOINT, 0},
        {"\"url\":\"coaps://z\"", "", CONFIG_UPLINK_ENDPOINT, 0},
        {"\"url\":\"coaps://x\",\"suites\":[\"ecdhe-psk\"]", "", CONFIG_UPLINK_ENDPOINT, 0},
        {"\"url\":\"coaps://x\",\"suites\":[\"ecdhe-psk\",\"psk\",\"psk-ccm8\"]", "", CONFIG_UPLINK_ENDPOINT, 0},
        {"\"url\":\"coaps://x\",\"suites\":[\"ecdhe-psk\",\"psk\"]", "", 0, 0},
        {"\"url\":\"coaps://x\",\"profile\":\"mine\"", "", CONFIG_UPLINK_PROFILE, 0},
        {"\"url\":\"coaps://x\",\"max_payload\":512", "", CONFIG_UPLINK_PROFILE, 0},
        {"\"url\":\"coaps://x\",\"identity\":\"{device}-{n}\"", "", CONFIG_UPLINK_ROTATION, 0},
        {"\"url\":\"coaps://x\",\"registrar\":{\"type\":\"coap\"}", "", CONFIG_UPLINK_ROTATION, 0},
        {"\"url\":\"coaps://x\",\"identity\":\"{opaque}-{n}\",\"registrar\":{\"type\":\"exec\",\"program\":\"y\"}", "",
         CONFIG_UPLINK_ROTATION, 0},
        {"\"url\":\"coaps://x\",\"order\":\"latest\"", "", CONFIG_UPLINK_PROFILE, 0},
        {"\"url\":\"coaps://x\",\"drain_rate\":5", "", CONFIG_UPLINK_PROFILE, 0},
        {"\"url\":\"coaps://x\",\"suites\":[\"ecdhe-psk\",\"psk\",\"psk-cbc\"]", "", CONFIG_UPLINK_ENDPOINT, 0},
        {"\"url\":\"coaps://x\",\"keepalive\":\"100s\"", "", 0, 0},
        {"\"url\":\"coaps://x\",\"keepalive\":\"never\"", "", CONFIG_UPLINK_ADMISSION, 0},
        {"\"url\":\"coaps://x\",\"admission\":\"unlimited\"", "", CONFIG_UPLINK_ADMISSION, 0},
        {"\"url\":\"coaps://x\"", ",\"rotation\":{\"concurrent\":1}", 0, CONFIG_GLOBAL_ROTATION},
        {"\"url\":\"coaps://x\"", ",\"spool\":{\"max_bytes\":\"1M\"}", 0, CONFIG_GLOBAL_SPOOL},
    };
    struct tree *t = *state;
    struct config *before = NULL, *after;
    struct config_diff diff;
    char text[512];

    for (size_t i = 0; i < ELEMENTSOF(table); i++) {
        snprintf(text, sizeof(text), "{\"uplinks\":{\"cloud\":{%s}}%s}", table[i].uplink, table[i].rest);
        make(t, t->config, "gatehouse.json", text);
        after = load(t, CONFIG_STRICT, 0, "");
        if (!before)
            before = config_ref(after);
        assert_int_equal(config_diff(before, after, &diff), 0);
        assert_int_equal(diff.n_uplinks, table[i].what ? 1 : 0);
        if (table[i].what)
            assert_int_equal(diff.uplinks[0].what, table[i].what);
        assert_int_equal(diff.global, table[i].global);
        config_diff_done(&diff);
        config_unref(after);
    }
    make(t, t->config, "gatehouse.json", UPLINKS);
    after = load(t, CONFIG_STRICT, 0, "");
    assert_int_equal(config_diff(before, after, &diff), 0);
    assert_int_equal(diff.n_uplinks, 1);
    assert_null(diff.uplinks[0].before);
    config_diff_done(&diff);
    config_unref(after);
    config_unref(before);
}

static void test_locate(void **state)
{
    static const struct {
        const char *pointer;
        unsigned line, column;
    } table[] = {
        {"/section/url", 2, 22},
        {"/section", 2, 13},
        {"/section/none", 2, 13},
        {"/points/p/address", 3, 34},
        {"/points/p/none/x", 3, 20},
        {"/points", 3, 13},
        {"", 1, 1},
        {"/sections", 1, 1},
    };
    _cleanup_(mistakes_done) struct mistakes m = {0};
    struct tree *t = *state;
    const struct config_device *d;
    struct config *c;
    unsigned line, column;

    make(t, t->config, "devices.d/a.json",
         "{ \"device\": \"a\", \"uplink\": \"other\", \"driver\": \"modbus\",\n"
         "  \"modbus\": { \"url\": \"tcp://x/\" },\n"
         "  \"points\": { \"p\": {  \"address\": 1 } } }");
    c = load(t, CONFIG_STRICT, 0, "");
    d = config_device(c, "a");
    for (size_t i = 0; i < ELEMENTSOF(table); i++) {
        assert_int_equal(config_device_locate(d, table[i].pointer, &line, &column), 0);
        if (line != table[i].line || column != table[i].column)
            fail_msg("%s: %u:%u", table[i].pointer, line, column);
    }
    config_device_complain(d, &m, "/section/url", "no such server");
    assert_int_equal(m.list[0].line, 2);
    assert_string_equal(m.list[0].device, "a");
    config_complain(c, &m, "/uplinks/other/url", "not here");
    assert_int_equal(m.list[1].column, 67);
    /* A file that was edited meanwhile would give wrong places. */
    make(t, t->config, "devices.d/a.json", "\n" DEVICE("a"));
    assert_int_equal(config_device_locate(d, "", &line, &column), -ESTALE);
    config_device_complain(d, &m, "/section/url", "no such server");
    assert_int_equal(m.list[2].line, 0);
    assert_string_equal(m.list[2].text, "/section/url: no such server");
    config_unref(c);
}

static struct config_device *parse(struct tree *t, const struct config *c, const char *id, const char *text, int r)
{
    _cleanup_(mistakes_done) struct mistakes m = {0};
    _cleanup_free_ char *path = NULL;
    struct config_device *d = NULL;

    assert_int_equal(config_device_path(&t->paths, id, &path), 0);
    assert_int_equal(config_device_parse(c, path, text, strlen(text), &d, &m), r);
    assert_true(r == 0 ? m.n_all == 0 : m.n_all > 0);
    return d;
}

static void test_add_and_remove(void **state)
{
    struct tree *t = *state;
    struct config_device *d;
    struct config *c, *with, *without, *again;
    struct error e;

    make(t, t->config, "devices.d/a.json", DEVICE("a"));
    make(t, t->config, "devices.d/z.json", DEVICE("z"));
    c = load(t, CONFIG_STRICT, 0, "");
    assert_null(parse(t, c, "a", DEVICE("a"), -EEXIST));
    assert_null(parse(t, c, "b", "{ \"device\": \"b\" }", -EBADMSG));
    d = parse(t, c, "b", DEVICE("b"), 0);
    assert_int_equal(config_device_store(&t->paths, "b", DEVICE("b"), strlen(DEVICE("b")), &e), 0);
    assert_int_equal(config_device_store(&t->paths, "b", DEVICE("b"), strlen(DEVICE("b")), &e), -EEXIST);
    assert_int_equal(config_with(c, d, &with), 0);
    assert_int_equal(c->n_devices, 2);
    assert_int_equal(with->n_devices, 3);
    assert_ptr_equal(with->devices[1], d);
    assert_ptr_equal(with->devices[2], c->devices[1]);
    assert_ptr_equal(with->uplinks[0], c->uplinks[0]);
    /* The same as after a reload. */
    again = load(t, CONFIG_STRICT, 0, "");
    assert_int_equal(again->n_devices, 3);
    assert_string_equal(again->devices[1]->file, d->file);
    assert_true(again->devices[1]->removable && d->removable);
    config_unref(again);
    config_unref(c);

    assert_int_equal(config_device_remove(config_device(with, "a"), &e), -EROFS);
    assert_non_null(strstr(e.text, "/etc/devices.d/a.json"));
    assert_int_equal(config_device_remove(d, &e), 0);
    assert_int_equal(access(d->file, F_OK), -1);
    assert_int_equal(config_without(with, "b", &without), 0);
    assert_int_equal(without->n_devices, 2);
    assert_null(config_device(without, "b"));
    assert_non_null(config_device(without, "z"));
    config_unref(with);
    config_unref(without);
    config_device_unref(d);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_one_bad_device, setup, teardown),
        cmocka_unit_test_setup_teardown(test_registrars, setup, teardown),
        cmocka_unit_test_setup_teardown(test_bad_gatehouse, setup, teardown),
        cmocka_unit_test_setup_teardown(test_same_id, setup, teardown),
        cmocka_unit_test_setup_teardown(test_same_client_id, setup, teardown),
        cmocka_unit_test_setup_teardown(test_skipped_files, setup, teardown),
        cmocka_unit_test_setup_teardown(test_values, setup, teardown),
        cmocka_unit_test_setup_teardown(test_diff, setup, teardown),
        cmocka_unit_test_setup_teardown(test_diff_globals, setup, teardown),
        cmocka_unit_test_setup_teardown(test_locate, setup, teardown),
        cmocka_unit_test_setup_teardown(test_add_and_remove, setup, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
