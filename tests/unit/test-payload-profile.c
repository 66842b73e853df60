/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Profiles: the one that is shipped, what is refused in others, what answers mean. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include "profiles.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CODE(class, detail) ((class) << 5 | (detail))

static void test_senml(void **state)
{
    static const struct {
        uint8_t code;
        enum profile_verdict verdict;
    } table[] = {
        {CODE(2, 1), PROFILE_ACCEPTED}, {CODE(2, 4), PROFILE_ACCEPTED},  {CODE(2, 31), PROFILE_ACCEPTED},
        {CODE(4, 0), PROFILE_REJECTED}, {CODE(4, 13), PROFILE_REJECTED}, {CODE(4, 15), PROFILE_REJECTED},
        {CODE(4, 1), PROFILE_REFUSED},  {CODE(4, 3), PROFILE_REFUSED},   {CODE(4, 4), PROFILE_RETRY},
        {CODE(4, 29), PROFILE_RETRY},   {CODE(5, 0), PROFILE_RETRY},     {CODE(5, 3), PROFILE_RETRY},
        {CODE(4, 9), PROFILE_RETRY},    {CODE(3, 0), PROFILE_RETRY},     {CODE(7, 1), PROFILE_RETRY},
        {CODE(0, 0), PROFILE_RETRY},
    };
    _cleanup_(profile_unrefp) struct profile *p = shipped("senml");
    const struct sample samples[] = {{"a", 5000000, {SAMPLE_INT, .x = 1}, "", 0},
                                     {"a", 6000000, {SAMPLE_INT, .x = 2}, "", 0}};
    _cleanup_(profile_message_done) struct profile_message probe = {0}, pack = {0}, small = {0};

    assert_string_equal(p->name, "senml");
    assert_int_equal(p->max_payload, 1024);
    for (size_t i = 0; i < ELEMENTSOF(table); i++)
        if (profile_verdict(p, table[i].code) != table[i].verdict)
            fail_msg("%u.%02u: %d", table[i].code >> 5, table[i].code & 31, profile_verdict(p, table[i].code));
    assert_int_equal(profile_probe(p, &names, &probe), 0);
    assert_string_equal(probe.target, "telemetry");
    assert_int_equal(probe.method, PROFILE_POST);
    assert_string_equal(probe.body, "[{\"bn\":\"boiler-1:\",\"n\":\"_probe\",\"vb\":true}]");
    assert_int_equal(probe.size, strlen(probe.body));
    assert_int_equal(profile_pack(p, &names, samples, 2, 0, &pack), 2);
    assert_string_equal(pack.body,
                        "[{\"bn\":\"boiler-1:\",\"bt\":5,\"n\":\"a\",\"v\":1},{\"n\":\"a\",\"t\":1,\"v\":2}]");
    assert_string_equal(pack.target, "telemetry");
    assert_int_equal(pack.content_format, 110);
    assert_int_equal(pack.method, PROFILE_POST);
    assert_int_equal(profile_pack(p, &names, samples, 2, 50, &small), 1);
    assert_int_equal(profile_pack(p, &names, samples, 2, 10, &small), -EMSGSIZE);
}

static void test_not_there(void **state)
{
    static const char *const directories[] = {PROFILES, NULL};
    _cleanup_(mistakes_done) struct mistakes m = {0};
    struct profile *p = NULL;

    assert_int_equal(profile_load(directories, "none", &p, &m), -ENOENT);
    assert_int_equal(profile_load(directories, "../profiles/senml", &p, &m), -ENOENT);
    assert_int_equal(m.n_all, 0);
}

#define REST                                                                                                           \
    "\"telemetry\":{\"path\":\"t\"},\"probe\":{\"path\":\"t\",\"body\":1},\"responses\":{\"accept\":[\"2.xx\"]}"

static const struct {
    const char *text;
    unsigned line, column;
    const char *message;
} bad[] = {
    {"{" REST ",}", 1, 88, "trailing comma"},
    {"[]", 1, 1, "expected an object"},
    {"{}", 1, 1, "\"telemetry\" is missing"},
    {"{" REST ",\n\"formats\":1}", 2, 1, "did you mean \"format\"?"},
    {"{" REST ",\n\"format\":\"cbor\"}", 2, 10, "expected one of \"senml-json\""},
    {"{" REST ",\n\"transport\":\"http\"}", 2, 13, "expected one of \"coap\""},
    {"{" REST ",\n\"max_payload\":1}", 2, 15, "expected 128 to 64K"},
    {"{\n\"telemetry\":{\"path\":\"/t\"},\"probe\":{\"path\":\"t\",\"body\":1},\"responses\":{\"accept\":[]}}", 2, 21,
     "without a leading /"},
    {"{\n\"telemetry\":{\"path\":\"t\",\"method\":\"GET\"},\"probe\":{\"path\":\"t\",\"body\":1},\"responses\":{\"accept\":[]}}",
     2, 34, "expected one of \"POST\", \"PUT\""},
    {"{\"telemetry\":{\"path\":\"t\"},\"probe\":{\"path\":\"t\"},\n\"responses\":{\"accept\":[]}}", 1, 35,
     "\"body\" is missing"},
    {"{\"telemetry\":{\"path\":\"t\"},\"probe\":{\"path\":\"t\",\"body\":1},\n\"responses\":{\"accept\":[\"2.xx\",\"6.00\"]}}",
     2, 31, "expected a CoAP response code"},
    {"{\"telemetry\":{\"path\":\"t\"},\"probe\":{\"path\":\"t\",\"body\":1},\n\"responses\":{\"accept\":[\"2.99\"]}}",
     2, 24, "expected a CoAP response code"},
    {"{\"telemetry\":{\"path\":\"t\"},\"probe\":{\"path\":\"t\",\"body\":1},\n\"responses\":{\"accept\":[\"4.04\"],\"retry\":[\"4.04\"]}}",
     2, 41, "\"4.04\" is named twice"},
    {"{\"telemetry\":{\"path\":\"t\"},\"probe\":{\"path\":\"t\",\"body\":1},\n\"responses\":{\"accept\":\"2.xx\"}}", 2,
     23, "is not a list of response codes"},
};

#define MQTT_REST "\"transport\":\"mqtt\",\"telemetry\":{\"topic\":\"t\"},\"probe\":\"none\""

static const struct {
    const char *text;
    unsigned line, column;
    const char *message;
} more[] = {
    {"{" REST ",\n\"drain_rate\":-1}", 2, 14, "expected a whole number from 0"},
    {"{" REST ",\n\"will\":{}}", 2, 1, "\"will\" is of MQTT"},
    {"{" REST ",\n\"record\":{}}", 2, 1, "\"record\" does not go with this profile's format, which is of SenML"},
    {"{" REST ",\n\"base_name\":\"{point}\"}", 2, 13,
     "{point} means nothing here; known here: {device}, {hardware_id}, {opaque}"},
    {"{" REST ",\n\"log\":{\"topic\":\"x\"}}", 2, 8, "\"topic\" is of MQTT, and this profile's transport is \"coap\""},
    {"{" REST ",\n\"log\":{\"path\":\"x\",\"body\":[{\"a{id}\":\"{value}\"}]}}", 2, 28, "{id} means nothing here"},
    {"{" REST ",\n\"log\":{\"path\":\"x\",\"body\":1,\"text\":\"\"}}", 2, 19, "a message has one of them"},
    {"{" REST ",\n\"announcements\":{}}", 2, 17, "expected a list"},
    {"{" REST ",\n\"announcements\":[1]}", 2, 18, "expected an announcement"},
    {"{" REST ",\n\"announcements\":[{\"path\":\"a/{point}\"}]}", 2, 26, "{point} means nothing here"},
    {"{" REST ",\n\"announcements\":[{\"each\":\"thing\",\"path\":\"a\"}]}", 2, 26,
     "expected one of \"device\", \"point\", \"writable\""},
    {"{" REST ",\n\"commands\":{}}", 2, 12, "is not a list"},
    {"{" REST ",\n\"commands\":[{\"value\":\"\",\"point\":\"/p\"}]}", 2, 13, "\"observe\" is missing here"},
    {"{" REST ",\n\"commands\":[{\"observe\":\"c\",\"point\":\"/p\"}]}", 2, 13, "nothing says which value"},
    {"{" REST ",\n\"commands\":[{\"observe\":\"c\",\"value\":\"v\",\"point\":\"/p\"}]}", 2, 36,
     "is not a JSON pointer"},
    {"{" REST ",\n\"commands\":[{\"observe\":\"c/{point}\",\"value\":\"\",\"point\":\"/p\"}]}", 2, 24,
     "{point} means nothing here"},
    {"{" REST ",\n\"commands\":[{\"observe\":\"c\",\"topic\":\"c\",\"value\":\"\",\"point\":\"/p\"}]}", 2, 28,
     "\"topic\" does not go with \"observe\""},
    {"{" REST ",\n\"commands\":[{\"observe\":\"c\",\"members\":\"\",\"value\":\"\"}]}", 2, 13, "do not go with it"},
    {"{" REST ",\n\"commands\":[{\"observe\":\"c\",\"value\":\"\",\"point\":\"/p\",\"reply\":{\"path\":\"r/{id}\"}}]}",
     2, 68, "{id} means nothing here"},
    {"{" REST ",\n\"commands\":[{\"observe\":\"c\",\"value\":\"\",\"point\":\"/p\",\"status\":{\"done\":[]}}]}", 2, 69,
     "expected a number, a text, or null"},
    {"{" REST ",\n\"commands\":[{\"poll\":{\"path\":\"c\"},\"location\":\"x\",\"value\":\"\",\"point\":\"/p\"}]}", 2,
     45, "expected a list of locations"},
    {"{" REST ",\n\"commands\":[{\"poll\":{\"path\":\"c\"},\"every\":\"1\",\"value\":\"\",\"point\":\"/p\"}]}", 2, 42,
     "\"every\""},
    {"{" REST ",\n\"commands\":[{\"poll\":{\"path\":\"c\"},\"accept\":65536,\"value\":\"\",\"point\":\"/p\"}]}", 2, 43,
     "\"accept\" is 65536; expected"},
    {"{" REST ",\n\"commands\":[{\"poll\":{\"path\":\"c\",\n\"accept\":60},\"value\":\"\",\"point\":\"/p\"}]}", 3, 1,
     "\"accept\""},
    {"{" MQTT_REST ",\n\"commands\":[{\"topic\":\"c\",\"format\":\"xml\",\"value\":\"\",\"point\":\"/p\"}]}", 2, 35,
     "expected one of \"json\", \"cbor\""},
    {"{" REST ",\n\"commands\":[{\"observe\":\"c\",\"format\":\"cbor\",\"value\":\"\",\"point\":\"/p\"}]}", 2, 28,
     "\"format\" does not go with \"observe\""},
    {"{" REST ",\n\"server_time\":{\"option\":65001}}", 2, 25, "65001 is critical"},
    {"{" REST ",\n\"server_time\":{\"option\":60}}", 2, 25, "\"option\" is 60; expected"},
    {"{" REST ",\n\"server_time\":{\"unit\":\"ms\"}}", 2, 15, "\"option\" is missing here"},
    {"{" REST ",\n\"server_time\":{\"option\":65000,\"unit\":\"min\"}}", 2, 38,
     "expected one of \"s\", \"ms\", \"us\""},
    {"{" REST ",\n\"server_time\":65000}", 2, 15, "\"server_time\""},
    {"{" MQTT_REST ",\n\"server_time\":{\"option\":65000}}", 2, 1, "\"server_time\" is of CoAP"},
    {"{" MQTT_REST ",\n\"commands\":[{\"topic\":\"c\",\"accept\":60,\"value\":\"\",\"point\":\"/p\"}]}", 2, 26,
     "\"accept\" does not go with transport \"mqtt\""},
    {"{\"transport\":\"mqtt\",\"telemetry\":{\"topic\":\"t\"},\n\"probe\":{\"topic\":\"t\",\"body\":1,\"retain\":true}}",
     2, 40, "would prove nothing"},
    {"{\"telemetry\":{\"path\":\"t\"},\"probe\":\"none\",\"responses\":{\"accept\":[]}}", 1, 35,
     "\"none\" is for transport \"mqtt\" only"},
    {"{" MQTT_REST ",\n\"log\":{\"path\":\"x\"}}", 2, 8, "\"path\" is of CoAP"},
    {"{" MQTT_REST ",\n\"log\":{\"topic\":\"x/+\"}}", 2, 16, "without + and #"},
    {"{" MQTT_REST ",\n\"responses\":{\"accept\":[\"2.04\"]}}", 2, 24, "expected an MQTT reason code"},
    {"{" MQTT_REST ",\n\"responses\":{\"accept\":[\"0x1\"]}}", 2, 24, "expected an MQTT reason code"},
    {"{" MQTT_REST ",\n\"commands\":[{\"topic\":\"c/#\",\"value\":\"\",\"point\":\"\"}]}", 2, 22, "not + or #"},
    {"{" MQTT_REST ",\n\"commands\":[{\"topic\":\"c/x{id}\",\"value\":\"\",\"point\":\"\"}]}", 2, 22,
     "shares its level"},
    {"{" MQTT_REST ",\n\"commands\":[{\"topic\":\"c/{id}\",\"id\":\"\",\"value\":\"\",\"point\":\"\"}]}", 2, 13,
     "\"id\" beside an {id}"},
    {"{" MQTT_REST ",\n\"format\":\"json\"}", 1, 1, "\"record\" is missing here"},
    {"{" MQTT_REST ",\n\"format\":\"json\",\"record\":{\"{point}\":1}}", 2, 26, "says {value} nowhere"},
    {"{" MQTT_REST ",\n\"format\":\"json\",\"record\":{\"p\":\"{value}\"}}", 2, 31, "{value} means nothing here"},
    {"{" MQTT_REST ",\n\"format\":\"json\",\"base_name\":\"\",\"record\":{\"{point}\":\"{value}\"}}", 2, 17,
     "\"base_name\" does not go with"},
    {"{" MQTT_REST ",\n\"units\":{\"Cel\":1}}", 2, 16, "a text"},
    /* braces that belong to nothing */
    {"{" REST ",\n\"log\":{\"path\":\"x/{device/y\"}}", 2, 15, "expected } behind \"{device\""},
    {"{" REST ",\n\"log\":{\"path\":\"x/{device\"}}", 2, 15, "expected } behind \"{device\""},
    {"{" REST ",\n\"log\":{\"path\":\"{dev{device}\"}}", 2, 15, "expected } behind \"{dev\""},
    {"{" REST ",\n\"log\":{\"path\":\"x/device}\"}}", 2, 15,
     "expected a word in braces, such as {device}, before \"}\""},
    {"{" REST ",\n\"log\":{\"path\":\"x/{Device}\"}}", 2, 15, "expected a word and }, as in {device}, at \"{Device}\""},
    {"{" REST ",\n\"log\":{\"path\":\"x/{}\"}}", 2, 15, "expected a word and }"},
    {"{" REST ",\n\"log\":{\"path\":\"x/{{device}\"}}", 2, 15, "expected }} somewhere behind \"{{device}\""},
    {"{" REST ",\n\"log\":{\"path\":\"x\",\"text\":\"{{ {text}\"}}", 2, 26, "expected }} somewhere behind"},
    {"{" REST ",\n\"log\":{\"path\":\"x\",\"body\":{\"{{\":1}}}", 2, 27, "expected }} somewhere behind"},
    {"{" REST ",\n\"base_name\":\"{device:\"}", 2, 13, "expected } behind \"{device\""},
    {"{" REST ",\n\"commands\":[{\"observe\":\"c/{device\",\"value\":\"\",\"point\":\"/p\"}]}", 2, 24,
     "expected } behind"},
    {"{" REST ",\n\"commands\":[{\"poll\":{\"path\":\"c\"},\"location\":[\"c/{id\"],\"value\":\"\",\"point\":\"/p\"}]}",
     2, 46, "expected } behind \"{id\""},
    {"{" MQTT_REST ",\n\"commands\":[{\"topic\":\"c/{id\",\"value\":\"\",\"point\":\"\"}]}", 2, 22,
     "expected } behind \"{id\""},
    {"{" MQTT_REST ",\n\"will\":{\"topic\":\"c/{device/x\",\"text\":\"\"}}", 2, 17, "expected } behind \"{device\""},
};

static void check_bad(const char *text, unsigned line, unsigned column, const char *message)
{
    _cleanup_(mistakes_done) struct mistakes m = {0};
    _cleanup_free_ char *copy = strdup(text), *all = NULL;
    struct profile *p = NULL;

    assert_int_equal(profile_parse("x.json", copy, strlen(copy), &p, &m), -EBADMSG);
    for (size_t i = 0; i < m.n; i++)
        if (m.list[i].line == line && m.list[i].column == column && strstr(m.list[i].text, message))
            return;
    mistakes_format(&m, &all);
    fail_msg("%s\nexpected %u:%u %s\n%s", text, line, column, message, all);
}

static void test_more_bad(void **state)
{
    for (size_t i = 0; i < ELEMENTSOF(more); i++)
        check_bad(more[i].text, more[i].line, more[i].column, more[i].message);
}

/* In what a message says braces are as good as any other character, where no word is meant. */
static void test_braces_that_stay(void **state)
{
    static const struct {
        const char *body, *said;
    } table[] = {
        {"\"text\":\"{\\\"level\\\":\\\"{level}\\\",\\\"of\\\":{\\\"{module}\\\":{}}}\"",
         "{\"level\":\"warning\",\"of\":{\"bus\":{}}}"},
        {"\"text\":\"{a: {level}} } {\"", "{a: warning} } {"},
        {"\"text\":\"{{ {level} }}{level}\"", "{{ {level} }}warning"},
        {"\"body\":{\"{\":\"}\",\"t\":\"{% if x %}{level}\"}", "{\"{\":\"}\",\"t\":\"{% if x %}warning\"}"},
    };

    for (size_t i = 0; i < ELEMENTSOF(table); i++) {
        _cleanup_(mistakes_done) struct mistakes m = {0};
        _cleanup_(profile_message_done) struct profile_message message = {0};
        _cleanup_(profile_unrefp) struct profile *p = NULL;
        _cleanup_free_ char *text = NULL, *all = NULL;

        assert_true(asprintf(&text, "{" REST ",\"log\":{\"path\":\"{{x}}/{device}?a={opaque}\",%s}}", table[i].body) >
                    0);
        if (profile_parse("x.json", text, strlen(text), &p, &m) < 0) {
            mistakes_format(&m, &all);
            fail_msg("%s\n%s", table[i].body, all);
        }
        assert_int_equal(profile_log(p, &names, PROFILE_WARNING, "bus", "no answer", &message), 1);
        assert_string_equal(message.target, "{{x}}/boiler-1?a=abcdefghij");
        assert_int_equal(message.size, strlen(table[i].said));
        assert_memory_equal(message.body, table[i].said, message.size);
    }
}

/* All at once, not the first only. */
static void test_every_mistake(void **state)
{
    char text[] =
        "{\"telemetry\":{\"path\":\"/t\"},\"probe\":{\"path\":\"t\",\"body\":\"{x}\"},\"responses\":{\"accept\":[\"9\"]},"
        "\"commands\":[{\"observe\":\"/c\",\"valu\":\"\"}],\"drain_rate\":\"fast\",\"colour\":1}";
    _cleanup_(mistakes_done) struct mistakes m = {0};
    struct profile *p = NULL;

    assert_int_equal(profile_parse("x.json", text, strlen(text), &p, &m), -EBADMSG);
    assert_int_equal(m.n_all, 9);
}

static void test_bad(void **state)
{
    for (size_t i = 0; i < ELEMENTSOF(bad); i++) {
        _cleanup_(mistakes_done) struct mistakes m = {0};
        _cleanup_free_ char *text = strdup(bad[i].text);
        struct profile *p = NULL;

        assert_int_equal(profile_parse("x.json", text, strlen(text), &p, &m), -EBADMSG);
        assert_true(m.n >= 1);
        if (m.list[0].line != bad[i].line || m.list[0].column != bad[i].column ||
            !strstr(m.list[0].text, bad[i].message))
            fail_msg("%s\n%u:%u: %s", bad[i].text, m.list[0].line, m.list[0].column, m.list[0].text);
    }
}

static void test_server_time(void **state)
{
    _cleanup_(profile_unrefp) struct profile *p = shipped("hono"),
                                             *seconds =
                                                 parsed("{" REST ",\"server_time\":{\"option\":2048,\"unit\":\"s\"}}"),
                                             *none = shipped("senml");
    static const uint8_t t[] = {0, 0, 0x01, 0x8b, 0xcf, 0xe5, 0x68, 0x00, 0x00},
                         large[] = {255, 255, 255, 255, 255, 255, 255, 255};
    uint64_t usec = 1;

    assert_int_equal(p->time.option, 65000);
    assert_int_equal(profile_server_time(p, t + 2, 6, &usec), 0);
    assert_int_equal(usec, 1700000000000000);
    assert_int_equal(profile_server_time(p, t, 8, &usec), 0);
    assert_int_equal(usec, 1700000000000000);
    assert_int_equal(profile_server_time(seconds, t + 3, 4, &usec), 0);
    assert_int_equal(usec, UINT64_C(0x8bcfe568) * USEC_PER_SEC);
    assert_int_equal(profile_server_time(p, t, 0, &usec), 0);
    assert_int_equal(usec, 0);
    assert_int_equal(profile_server_time(p, t, 9, &usec), -EBADMSG);
    assert_int_equal(profile_server_time(p, large, 8, &usec), -EBADMSG);
    assert_int_equal(profile_server_time(none, t, 6, &usec), -EBADMSG);
}

/* The name of a code wins over its class, wherever they stand. */
static void test_code_over_class(void **state)
{
    char text[] =
        "{\"telemetry\":{\"path\":\"a/b\",\"method\":\"PUT\"},\"probe\":{\"path\":\"t\",\"body\":\"{device}{device}\"},"
        "\"base_name\":\"urn:{device}/\",\"responses\":{\"accept\":[\"2.xx\",\"4.09\"],\"reject\":[\"4.xx\",\"2.02\"]}}";
    _cleanup_(mistakes_done) struct mistakes m = {0};
    _cleanup_(profile_unrefp) struct profile *p = NULL;
    _cleanup_(profile_message_done) struct profile_message probe = {0};

    assert_int_equal(profile_parse("/a.b/my.own.json", text, sizeof(text) - 1, &p, &m), 0);
    assert_string_equal(p->name, "my.own");
    assert_int_equal(p->telemetry.method, PROFILE_PUT);
    assert_int_equal(profile_verdict(p, CODE(4, 9)), PROFILE_ACCEPTED);
    assert_int_equal(profile_verdict(p, CODE(4, 8)), PROFILE_REJECTED);
    assert_int_equal(profile_verdict(p, CODE(2, 2)), PROFILE_REJECTED);
    assert_int_equal(profile_verdict(p, CODE(2, 3)), PROFILE_ACCEPTED);
    assert_int_equal(profile_probe(p, &(struct profile_names){"x", "h", "o", "g", 50}, &probe), 0);
    assert_string_equal(probe.body, "\"xx\"");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_senml),
        cmocka_unit_test(test_not_there),
        cmocka_unit_test(test_bad),
        cmocka_unit_test(test_more_bad),
        cmocka_unit_test(test_braces_that_stay),
        cmocka_unit_test(test_every_mistake),
        cmocka_unit_test(test_code_over_class),
        cmocka_unit_test(test_server_time),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
