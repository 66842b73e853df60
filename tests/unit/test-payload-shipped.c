/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Each profile that is shipped says what its cloud's documentation shows. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include "base/json.h"
#include "base/strbuf.h"
#include "payload/cbor.h"
#include "profiles.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

static const struct sample samples[] = {
    {"flow", 1700000000500000, {SAMPLE_INT, .x = 1}, "Cel", 0},
    {"valve", 1700000000500000, {SAMPLE_DOUBLE, .d = 2.5}, "", SAMPLE_BAD},
    {"flow", 1700000001000000, {SAMPLE_STRING, .s = "x\"y"}, "Cel", 0},
};
static const struct profile_point points[] = {
    [POINT_UNKNOWN] = {"dark", "Cel", true, 5, 30, POINT_UNKNOWN, 0.001, 0},
    [POINT_BOOLEAN] = {"pump", "", true, -INFINITY, INFINITY, POINT_BOOLEAN, 0.001, 600},
    [POINT_NUMBER] = {"setpoint", "Cel", true, 5, 30, POINT_NUMBER, 0.5, 600},
    [POINT_TEXT] = {"label", "Cel", true, -INFINITY, INFINITY, POINT_TEXT, 0.001, 0},
};
static const struct profile_point valve = {"valve", "", false, -INFINITY, INFINITY, POINT_NUMBER, 0.001, 0};

/* "POST telemetry 110 BODY", "topic retained BODY"; what is not text in hex. */
static const char *told(const struct profile *p, int r, struct profile_message *m)
{
    static char text[4096];
    static const char *const methods[] = {[PROFILE_GET] = "GET", [PROFILE_POST] = "POST", [PROFILE_PUT] = "PUT"};
    struct strbuf b = {0};

    if (p->transport == PROFILE_COAP)
        strbuf_printf(&b, "%s %s %d ", methods[m->method], m->target, m->content_format);
    else
        strbuf_printf(&b, "%s%s ", m->target, m->retain ? " retained" : "");
    if (m->content_format == 60 || m->content_format == 112)
        for (size_t i = 0; i < m->size; i++)
            strbuf_printf(&b, "%02x", (unsigned)(uint8_t)m->body[i]);
    else
        strbuf_puts(&b, m->body);
    assert_int_equal(m->body[m->size], 0);
    snprintf(text, sizeof(text), "%s", r < 0 ? strerrorname_np(-r) : b.text);
    strbuf_done(&b);
    profile_message_done(m);
    return text;
}

enum what { PACK, PROBE, WILL, LOG, AVAILABLE, ANNOUNCE, LISTEN, ASK, DONE, DENIED };

static const char *say(const struct profile *p, enum what what, size_t i)
{
    const struct sample_value set = {.type = SAMPLE_DOUBLE, .d = 21.5};
    struct profile_command c = {.source = i, .id = (char *)"\"17\"", .point = (char *)"a#b"};
    struct profile_message m = {0};
    int r = -ENOENT;

    switch (what) {
    case PACK:
        r = (int)profile_pack(p, &names, samples, ELEMENTSOF(samples), 0, &m);
        assert_int_equal(r, p->record.batch == PROFILE_BATCH_SINGLE ? 1 : 3);
        break;
    case PROBE:
        r = profile_probe(p, &names, &m);
        break;
    case WILL:
        r = profile_will(p, &names, &m);
        break;
    case LOG:
        r = profile_log(p, &names, PROFILE_WARNING, "modbus", "it's away", &m);
        break;
    case AVAILABLE:
        r = profile_availability(p, &names, (enum sensor_state)i, "", &m);
        break;
    case ANNOUNCE:
        for (unsigned kind = POINT_BOOLEAN; kind < POINT_KINDS; kind++)
            if (p->announcements[i].kinds & 1U << kind)
                r = profile_announce(p, i, &names, &points[kind], &m);
        break;
    case LISTEN:
        r = profile_source(p, i, &names, &m);
        break;
    case ASK:
        r = profile_ask(p, i, &names, &m);
        break;
    case DONE:
        r = profile_outcome(p, &names, &c, PROFILE_DONE, "", &set, &m);
        break;
    case DENIED:
        r = profile_outcome(p, &names, &c, PROFILE_DENIED, "not writable", NULL, &m);
        break;
    }
    return m.target ? told(p, r, &m) : "";
}

#define SENML                                                                                                           \
    "[{\"bn\":\"boiler-1:\",\"bt\":1700000000.5,\"n\":\"flow\",\"u\":\"Cel\",\"v\":1},{\"n\":\"valve/bad\",\"v\":2.5}," \
    "{\"n\":\"flow\",\"t\":0.5,\"u\":\"Cel\",\"vs\":\"x\\\"y\"}]"
#define SENML_PROBE "[{\"bn\":\"boiler-1:\",\"n\":\"_probe\",\"vb\":true}]"
#define OK "{\"ok\":true,\"value\":21.5,\"status\":\"done\"}"
#define DENIED_BODY "{\"ok\":false,\"status\":\"denied\",\"error\":\"not writable\"}"
#define HA_HEAD(component, point)                                                                                      \
    "homeassistant/" component "/boiler-1/" point "/config retained {\"name\":\"" point "\",\"unique_id\":"            \
    "\"gatehouse_boiler-1." point "\",\"state_topic\":\"gatehouse/boiler-1/" point "/state\","
#define HA_COMMON                                                                                                      \
    "\"availability_topic\":\"gatehouse/boiler-1/status\",\"device\":{\"identifiers\":[\"gatehouse_HW-1\"],\"name\":"  \
    "\"boiler-1\"},\"origin\":{\"name\":\"gatehouse\"}}"

static const struct {
    const char *profile;
    enum what what;
    size_t i;
    const char *expected;
} table[] = {
    {"senml", PACK, 0, "POST telemetry 110 " SENML},
    {"senml", PROBE, 0, "POST telemetry 110 " SENML_PROBE},
    {"senml", LISTEN, 0, "GET commands -1 "},
    {"senml", DONE, 0, "POST commands/outcome 50 {\"id\":\"17\",\"ok\":true,\"value\":21.5}"},
    {"senml", DENIED, 0,
     "POST commands/outcome 50 {\"id\":\"17\",\"ok\":false,\"error\":\"not writable\",\"status\":\"denied\"}"},
    {"senml", LOG, 0, ""},
    {"senml", WILL, 0, ""},

    {"senml-cbor", PACK, 0,
     "POST telemetry 112 83a52169626f696c65722d313a22fb41d954fc40200000"
     "0064666c6f770163"
     "43656c0201a2006976616c76652f62616402f94100a40064666c6f7706f93800016343656c0363782279"},
    {"senml-cbor", PROBE, 0, "POST telemetry 112 81a32169626f696c65722d313a00665f70726f626504f5"},

    {"senml-mqtt", PACK, 0, "gatehouse/boiler-1/telemetry " SENML},
    {"senml-mqtt", PROBE, 0, "gatehouse/boiler-1/telemetry " SENML_PROBE},
    {"senml-mqtt", AVAILABLE, SENSOR_OK, "gatehouse/boiler-1/status retained online"},
    {"senml-mqtt", AVAILABLE, SENSOR_FAILED, "gatehouse/boiler-1/status retained offline"},
    {"senml", AVAILABLE, SENSOR_OK, ""},
    {"senml-mqtt", WILL, 0, "gatehouse/boiler-1/status retained offline"},
    {"senml-mqtt", LISTEN, 0, "gatehouse/boiler-1/command "},
    {"senml-mqtt", DONE, 0, "gatehouse/boiler-1/outcome {\"id\":\"17\",\"ok\":true,\"value\":21.5}"},

    {"golioth", PACK, 0,
     "POST .s/points 50 [{\"ts\":\"2023-11-14T22:13:20.5Z\",\"flow\":1,\"valve/bad\":2.5},{\"ts\":\"2023-11-14T22:13:21Z\","
     "\"flow\":\"x\\\"y\"}]"},
    {"golioth", PROBE, 0, "POST .d/gatehouse/probe 50 true"},
    /* {"level": "warn", "module": "modbus", "msg": "it's away"} */
    {"golioth", LOG, 0,
     "POST logs 60 a3656c6576656c647761726e666d6f64756c65666d6f64627573636d736769697427732061776179"},
    {"golioth", LISTEN, 0, "GET .rpc -1 "},
    {"golioth", DONE, 0,
     "POST .rpc/status 50 {\"id\":\"17\",\"status\":0,\"statusCode\":0,\"detail\":{\"value\":21.5}}"},
    {"golioth", DENIED, 0,
     "POST .rpc/status 50 {\"id\":\"17\",\"status\":7,\"statusCode\":7,\"detail\":{\"error\":\"not writable\"}}"},
    {"golioth", LISTEN, 1, "GET .d/desired -1 "},
    {"golioth", DONE, 1, "POST .d/outcome/a%23b 50 " OK},
    {"golioth", LISTEN, 2, "GET .c -1 "},
    {"golioth", DONE, 2, ""},

    {"hono", PACK, 0,
     "POST telemetry 50 [{\"time\":\"2023-11-14T22:13:20.5Z\",\"values\":{\"flow\":1,\"valve/bad\":2.5}},"
     "{\"time\":\"2023-11-14T22:13:21Z\",\"values\":{\"flow\":\"x\\\"y\"}}]"},
    {"hono", PROBE, 0, "POST event?empty -1 "},
    {"hono", LOG, 0, "POST event 50 {\"level\":\"warning\",\"module\":\"modbus\",\"text\":\"it's away\"}"},
    {"hono", LISTEN, 0, "POST telemetry?hono-ttd=50&empty -1 "},
    {"hono", DONE, 0, "POST command_response/17?hono-cmd-status=200 50 {\"ok\":true,\"value\":21.5}"},
    {"hono", DENIED, 0, "POST command_response/17?hono-cmd-status=403 50 {\"ok\":false,\"error\":\"not writable\"}"},

    {"thingsboard", PACK, 0,
     "v1/devices/me/telemetry [{\"ts\":1700000000500,\"values\":{\"flow\":1,\"valve/bad\":2.5}},"
     "{\"ts\":1700000001000,\"values\":{\"flow\":\"x\\\"y\"}}]"},
    {"thingsboard", PROBE, 0, "v1/devices/me/attributes {\"gatehouse\":\"boiler-1\"}"},
    {"thingsboard", LISTEN, 0, "v1/devices/me/rpc/request/+ "},
    {"thingsboard", DONE, 0, "v1/devices/me/rpc/response/17 " OK},
    {"thingsboard", DENIED, 0, "v1/devices/me/rpc/response/17 " DENIED_BODY},
    {"thingsboard", LISTEN, 1, "v1/devices/me/attributes "},
    {"thingsboard", ASK, 1, ""},
    {"thingsboard", LISTEN, 2, "v1/devices/me/attributes/response/+ "},
    {"thingsboard", ASK, 2, "v1/devices/me/attributes/request/1 {\"sharedKeys\":\"desired\"}"},
    {"thingsboard", DONE, 1,
     "v1/devices/me/attributes {\"outcome\":{\"point\":\"a#b\",\"ok\":true,\"value\":21.5,\"status\":\"done\"}}"},

    {"homeassistant", PACK, 0,
     "gatehouse/boiler-1/flow/state retained {\"value\":1,\"time\":\"2023-11-14T22:13:20.5Z\"}"},
    {"homeassistant", PROBE, 0, "gatehouse/boiler-1/probe probe"},
    {"homeassistant", AVAILABLE, SENSOR_OK, "gatehouse/boiler-1/status retained online"},
    {"homeassistant", AVAILABLE, SENSOR_DEGRADED, "gatehouse/boiler-1/status retained online"},
    {"homeassistant", AVAILABLE, SENSOR_FAILED, "gatehouse/boiler-1/status retained offline"},
    {"homeassistant", AVAILABLE, SENSOR_CLOSED, "gatehouse/boiler-1/status retained offline"},
    {"homeassistant", AVAILABLE, SENSOR_UNKNOWN, "gatehouse/boiler-1/status retained offline"},
    {"homeassistant", AVAILABLE, SENSOR_NO_DRIVER, "gatehouse/boiler-1/status retained offline"},
    {"homeassistant", ANNOUNCE, 0,
     HA_HEAD("sensor", "setpoint") "\"value_template\":\"{{ value_json.value }}\",\"device_class\":\"temperature\","
                                   "\"state_class\":\"measurement\",\"unit_of_measurement\":\"\xc2\xb0"
                                   "C\",\"expire_after\":600," HA_COMMON},
    {"homeassistant", ANNOUNCE, 1,
     HA_HEAD("sensor", "label") "\"value_template\":\"{{ value_json.value }}\"," HA_COMMON},
    {"homeassistant", ANNOUNCE, 2,
     HA_HEAD(
         "binary_sensor",
         "pump") "\"value_template\":\"{{ 'ON' if value_json.value else 'OFF' }}\",\"expire_after\":600," HA_COMMON},
    {"homeassistant", ANNOUNCE, 3,
     HA_HEAD(
         "number",
         "setpoint") "\"value_template\":\"{{ value_json.value }}\","
                     "\"command_topic\":\"gatehouse/boiler-1/setpoint/set\",\"min\":5,\"max\":30,\"step\":0.5,\"mode\":\"box\","
                     "\"device_class\":\"temperature\",\"unit_of_measurement\":\"\xc2\xb0"
                     "C\"," HA_COMMON},
    {"homeassistant", ANNOUNCE, 4,
     HA_HEAD("switch",
             "pump") "\"value_template\":\"{{ 'ON' if value_json.value else 'OFF' }}\",\"state_on\":\"ON\","
                     "\"state_off\":\"OFF\",\"command_topic\":\"gatehouse/boiler-1/pump/set\",\"payload_on\":\"true\","
                     "\"payload_off\":\"false\"," HA_COMMON},
    {"homeassistant", ANNOUNCE, 5,
     HA_HEAD(
         "text",
         "label") "\"value_template\":\"{{ value_json.value }}\",\"command_topic\":\"gatehouse/boiler-1/label/set\","
                  "\"command_template\":\"{{ value | tojson }}\"," HA_COMMON},
    {"homeassistant", WILL, 0, "gatehouse/boiler-1/status retained offline"},
    {"homeassistant", LISTEN, 0, "gatehouse/boiler-1/+/set "},
    {"homeassistant", DENIED, 0, "gatehouse/boiler-1/a%23b/outcome " DENIED_BODY},
};

static void test_messages(void **state)
{
    for (size_t i = 0; i < ELEMENTSOF(table); i++) {
        _cleanup_(profile_unrefp) struct profile *p = shipped(table[i].profile);
        const char *text = say(p, table[i].what, table[i].i);

        if (strcmp(text, table[i].expected) != 0)
            fail_msg("%s %d:\n%s\nexpected\n%s", table[i].profile, table[i].what, text, table[i].expected);
    }
}

/* What the clouds' documentation shows of commands. */
static const struct {
    const char *profile;
    size_t source;
    const char *topic, *payload;
    const char *id, *point; /* NULL: nothing to do */
    double value;
} commands[] = {
    {"golioth", 0, NULL, "{\"id\":\"setpoint/74e4\",\"method\":\"setpoint\",\"params\":[21.5]}", "\"setpoint/74e4\"",
     "setpoint", 21.5},
    {"golioth", 0, NULL, "\"OK\"", NULL, NULL, 0},
    {"golioth", 1, NULL, "null", NULL, NULL, 0},
    {"golioth", 1, NULL, "{\"setpoint\":20}", "null", "setpoint", 20},
    {"hono", 0, "command_response/1a%2Fb?hono-command=setpoint", "21.5", "\"1a/b\"", "setpoint", 21.5},
    {"hono", 0, "cr/7?hono-command=setpoint", "21.5", "\"7\"", "setpoint", 21.5},
    {"hono", 0, "command?hono-command=setpoint", "20", "null", "setpoint", 20},
    {"hono", 0, "c?hono-command=setpoint", "20", "null", "setpoint", 20},
    {"hono", 0, NULL, "", NULL, NULL, 0},
    {"thingsboard", 0, "v1/devices/me/rpc/request/17", "{\"method\":\"setpoint\",\"params\":21.5}", "\"17\"",
     "setpoint", 21.5},
    {"thingsboard", 0, "v1/devices/me/rpc/request/17", "{\"method\":\"setpoint\",\"params\":{\"value\":21.5}}",
     "\"17\"", "setpoint", 21.5},
    {"thingsboard", 2, "v1/devices/me/attributes/response/1", "{\"shared\":{\"desired\":{\"setpoint\":20}}}", "\"1\"",
     "setpoint", 20},
    {"thingsboard", 2, "v1/devices/me/attributes/response/1", "{}", NULL, NULL, 0},
    {"thingsboard", 1, "v1/devices/me/attributes", "{\"desired\":{\"setpoint\":20}}", "null", "setpoint", 20},
    {"thingsboard", 1, "v1/devices/me/attributes", "{\"fw_version\":\"1\"}", NULL, NULL, 0},
    {"homeassistant", 0, "gatehouse/boiler-1/setpoint/set", "21.5", "null", "setpoint", 21.5},
    {"senml-mqtt", 0, "gatehouse/boiler-1/command", "{\"id\":3,\"point\":\"setpoint\",\"value\":20}", "3", "setpoint",
     20},
};

static void test_commands(void **state)
{
    for (size_t i = 0; i < ELEMENTSOF(commands); i++) {
        _cleanup_(profile_unrefp) struct profile *p = shipped(commands[i].profile);
        _cleanup_(profile_commands_done) struct profile_commands c = {0};
        struct error e = {""};
        int r = profile_commands(p, commands[i].source, &names, commands[i].topic, -1, commands[i].payload,
                                 strlen(commands[i].payload), &c, &e);

        if (r < 0 || c.n != (commands[i].point ? 1 : 0))
            fail_msg("%s %s: %d, %zu, %s", commands[i].profile, commands[i].payload, r, c.n, e.text);
        if (c.n == 0)
            continue;
        assert_string_equal(c.list[0].point, commands[i].point);
        assert_string_equal(c.list[0].id, commands[i].id);
        assert_true(c.list[0].value.type == SAMPLE_DOUBLE ? c.list[0].value.d == commands[i].value
                                                          : (double)c.list[0].value.x == commands[i].value);
    }
}

static void report(const struct profile *p, const struct profile_result *results, size_t n, const char *expected)
{
    _cleanup_(profile_message_done) struct profile_message m = {0};
    _cleanup_json_ json_object *o = NULL;

    assert_int_equal(profile_report(p, 2, &names, "1652109801583", results, n, &m), 1);
    assert_string_equal(m.target, ".c/status");
    assert_int_equal(m.method, PROFILE_POST);
    assert_int_equal(m.content_format, 60);
    assert_int_equal(cbor_parse(m.body, m.size, &o, NULL), 0);
    assert_string_equal(json_object_to_json_string_ext(o, JSON_C_TO_STRING_PLAIN), expected);
}

/* Golioth: one answer to a version of the settings, with the codes of its firmware SDK. */
static void test_settings(void **state)
{
    _cleanup_(profile_unrefp) struct profile *p = shipped("golioth");
    _cleanup_(profile_commands_done) struct profile_commands c = {0}, none = {0}, ok = {0};
    const char *text =
                   "{\"version\":1652109801583,\"settings\":{\"setpoint\":21.5,\"TEMPERATURE_FORMAT\":\"celsius\"}}",
               *empty = "{\"version\":7,\"settings\":{}}";
    struct profile_result results[] = {{(char *)"setpoint", PROFILE_DONE, NULL},
                                       {(char *)"{device}", PROFILE_UNKNOWN, (char *)"there is no such point"},
                                       {(char *)"limit", PROFILE_RANGE, NULL}};

    assert_int_equal(profile_commands(p, 2, &names, NULL, 50, text, strlen(text), &c, NULL), 0);
    assert_int_equal(c.n, 2);
    assert_string_equal(c.report_id, "1652109801583");
    assert_string_equal(c.list[1].point, "TEMPERATURE_FORMAT");
    assert_int_equal(profile_commands(p, 2, &names, NULL, 50, empty, strlen(empty), &none, NULL), 0);
    assert_int_equal(none.n, 0);
    assert_string_equal(none.report_id, "7");
    assert_int_equal(profile_commands(p, 2, &names, NULL, 50, "\"OK\"", 4, &ok, NULL), 0);
    assert_null(ok.report_id);
    report(p, results, 1, "{\"version\":1652109801583}");
    report(p, results, 3,
           "{\"version\":1652109801583,\"errors\":[{\"setting_key\":\"{device}\",\"error_code\":1,\"details\":\"there "
           "is no such point\"},{\"setting_key\":\"limit\",\"error_code\":4}]}");
}

/* Hono: a command that wants no answer has nothing to answer to. */
static void test_one_way(void **state)
{
    _cleanup_(profile_unrefp) struct profile *p = shipped("hono");
    struct profile_command c = {.id = (char *)"null", .point = (char *)"setpoint"};
    struct profile_message m = {0};

    assert_int_equal(profile_outcome(p, &names, &c, PROFILE_DONE, "", NULL, &m), 0);
}

/* Whom an announcement is of; what is not known is left out. */
static void test_announcements(void **state)
{
    _cleanup_(profile_unrefp) struct profile *p = shipped("homeassistant");
    _cleanup_(profile_message_done) struct profile_message m = {0};

    assert_int_equal(profile_announce(p, 0, &names, NULL, &m), 0);
    for (size_t i = 0; i < p->n_announcements; i++)
        assert_int_equal(profile_announce(p, i, &names, &points[POINT_UNKNOWN], &m), 0);
    for (size_t i = 3; i < p->n_announcements; i++)
        assert_int_equal(profile_announce(p, i, &names, &valve, &m), 0);
    assert_int_equal(profile_announce(p, 0, &names, &valve, &m), 1);
    assert_null(strstr(m.body, "unit_of_measurement"));
    assert_null(strstr(m.body, "state_class"));
    assert_null(strstr(m.body, "expire_after"));
}

/* What a broker keeps of a point and of a device beside what announces it. */
static void test_kept(void **state)
{
    _cleanup_(profile_unrefp) struct profile *p = shipped("homeassistant");
    static const char *const of_device[] = {"gatehouse/boiler-1/status", "gatehouse/boiler-1/status", NULL};
    static const char *const of_point[] = {"gatehouse/boiler-1/flow/state", NULL};

    for (int point = 0; point < 2; point++)
        for (size_t i = 0;; i++) {
            _cleanup_free_ char *topic = NULL;
            const char *expected = point ? of_point[i] : of_device[i];

            assert_int_equal(profile_kept(p, i, &names, point ? "flow" : NULL, &topic), expected ? 1 : 0);
            if (!expected)
                break;
            assert_string_equal(topic, expected);
        }
    assert_string_equal(profile_bad_character(p, "a.b"), ".b");
    assert_null(profile_bad_character(p, "a-b_C9"));
    assert_true(p->latest);
}

static void test_properties(void **state)
{
    static const struct {
        const char *name;
        enum profile_transport transport;
        size_t max_payload;
        unsigned drain_rate;
        bool reads_back;
    } all[] = {
        {"senml", PROFILE_COAP, 1024, 0, false},        {"senml-cbor", PROFILE_COAP, 1024, 0, false},
        {"senml-mqtt", PROFILE_MQTT, 16384, 0, true},   {"golioth", PROFILE_COAP, 1024, 20, false},
        {"hono", PROFILE_COAP, 2048, 0, false},         {"thingsboard", PROFILE_MQTT, 16384, 0, false},
        {"homeassistant", PROFILE_MQTT, 4096, 0, true},
    };

    for (size_t i = 0; i < ELEMENTSOF(all); i++) {
        _cleanup_(profile_unrefp) struct profile *p = shipped(all[i].name);

        assert_int_equal(p->transport, all[i].transport);
        assert_int_equal(p->max_payload, all[i].max_payload);
        assert_int_equal(p->drain_rate, all[i].drain_rate);
        assert_int_equal(p->probe.reads_back, all[i].reads_back);
        assert_false(p->probe.none);
        assert_int_equal(profile_verdict(p, p->transport == PROFILE_COAP ? 4 << 5 | 3 : 0x87), PROFILE_REFUSED);
        assert_int_equal(profile_verdict(p, p->transport == PROFILE_COAP ? 2 << 5 | 4 : 0x10), PROFILE_ACCEPTED);
        assert_int_equal(profile_verdict(p, p->transport == PROFILE_COAP ? 4 << 5 | 13 : 0x95), PROFILE_REJECTED);
        assert_int_equal(profile_verdict(p, p->transport == PROFILE_COAP ? 5 << 5 | 3 : 0x97), PROFILE_RETRY);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_messages),   cmocka_unit_test(test_commands),      cmocka_unit_test(test_settings),
        cmocka_unit_test(test_one_way),    cmocka_unit_test(test_announcements), cmocka_unit_test(test_kept),
        cmocka_unit_test(test_properties),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
