/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What a cloud asks for, in the shapes that profiles describe, and what is answered. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include "base/encode.h"
#include "profiles.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#define COAP(commands)                                                                                                 \
    "{\"telemetry\":{\"path\":\"t\"},\"probe\":{\"path\":\"t\",\"body\":1},\"responses\":{\"accept\":[\"2.xx\"]},"     \
    "\"commands\":[" commands "]}"
#define MQTT(commands)                                                                                                 \
    "{\"transport\":\"mqtt\",\"telemetry\":{\"topic\":\"t\"},\"probe\":\"none\",\"commands\":[" commands "]}"

/* All writes as "point=value id" with the type's letter, one behind the other. */
static const char *told(const struct profile_commands *c)
{
    static char text[4096];
    size_t n = 0;

    text[0] = 0;
    for (size_t i = 0; i < c->n; i++) {
        const struct sample_value *v = &c->list[i].value;
        char value[512] = "";

        switch (v->type) {
        case SAMPLE_BOOL:
            snprintf(value, sizeof(value), "b%d", v->b);
            break;
        case SAMPLE_INT:
            snprintf(value, sizeof(value), "x%lld", (long long)v->x);
            break;
        case SAMPLE_UINT:
            snprintf(value, sizeof(value), "t%llu", (unsigned long long)v->t);
            break;
        case SAMPLE_DOUBLE:
            snprintf(value, sizeof(value), "d%.17g", v->d);
            break;
        case SAMPLE_STRING:
            snprintf(value, sizeof(value), "s%s", v->s);
            break;
        }
        n += (size_t)snprintf(text + n, sizeof(text) - n, "%s%s=%s %s", i > 0 ? ";" : "", c->list[i].point ?: "(none)",
                              value, c->list[i].id);
    }
    return text;
}

static void check_read(const struct profile *p, const char *topic, const char *payload, int expected, const char *text,
                       const char *words)
{
    _cleanup_(profile_commands_done) struct profile_commands c = {0};
    struct error e = {""};
    int r = profile_commands(p, 0, &names, topic, -1, payload, strlen(payload), &c, &e);

    if (r != expected || strcmp(told(&c), text) != 0 || !strstr(e.text, words))
        fail_msg("%s %s: %d, %s, %s", topic ?: "", payload, r, told(&c), e.text);
}

static void test_values(void **state)
{
    static const struct {
        const char *payload, *text;
    } good[] = {
        {"{\"id\":7,\"point\":\"setpoint\",\"value\":21.5}", "setpoint=d21.5 7"},
        {"{\"id\":\"a\",\"point\":\"p\",\"value\":true}", "p=b1 \"a\""},
        {"{\"id\":[1,{\"a\":null}],\"point\":\"p\",\"value\":-9223372036854775808}",
         "p=x-9223372036854775808 [1,{\"a\":null}]"},
        {"{\"point\":\"p\",\"value\":18446744073709551615}", "p=t18446744073709551615 null"},
        {"{\"point\":\"p\",\"value\":9223372036854775807}", "p=t9223372036854775807 null"},
        {"{\"point\":\"no such/point#\",\"value\":\"\xc3\xa9\"}", "no such/point#=s\xc3\xa9 null"},
        {"{\"point\":\"p\",\"value\":0.1}", "p=d0.10000000000000001 null"},
        {"", ""},
    };
    static const struct {
        const char *payload, *text, *words;
    } bad[] = {
        {"21", "(none)=b0 null", "at /point the command has no text that names a point"},
        {"{\"id\":7,\"value\":1}", "(none)=b0 7", "at /point the command has no text that names a point"},
        {"{\"id\":7,\"point\":\"p\"}", "(none)=b0 7", "at /value the command has no value"},
        {"{\"id\":7,\"point\":5,\"value\":1}", "(none)=b0 7", "at /point"},
        {"{\"id\":7,\"point\":\"p\",\"value\":null}", "(none)=b0 7",
         "at /value the command has null; expected a value"},
        {"{\"id\":7,\"point\":\"p\",\"value\":[1]}", "(none)=b0 7", "at /value the command has [1]; expected a value"},
        {"{\"id\":7,\"point\":\"p\",\"point\":\"q\",\"value\":1}", "(none)=b0 null",
         "the command is not JSON, line 1, column 21: the key \"point\" is here twice"},
        {"{\"id\":7,\"point\":\"p\",\"value\":1} // now", "(none)=b0 null", "it has comments"},
        {"{\"id\":7,\"point\":\"p\",\"value\":1}x", "(none)=b0 null", "line 1, column 31"},
        {"{\"id\":7,\"point\":\"p\",\"value\":1e999}", "(none)=b0 null", "too large"},
        {"{\"point\":\"p\",\"value\":\"\\u0000\"}", "(none)=b0 null", "NUL"},
        {"\xff", "(none)=b0 null", "not UTF-8"},
        {"{\"id\":7,\"point\":\"a\\nb\",\"value\":1}", "(none)=b0 7", "unprintable"},
        {"[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[", "(none)=b0 null", "nested more than"},
    };
    _cleanup_(profile_unrefp) struct profile *p = shipped("senml");

    for (size_t i = 0; i < ELEMENTSOF(good); i++)
        check_read(p, NULL, good[i].payload, 0, good[i].text, "");
    for (size_t i = 0; i < ELEMENTSOF(bad); i++)
        check_read(p, NULL, bad[i].payload, -EBADMSG, bad[i].text, bad[i].words);
}

static void test_too_large(void **state)
{
    _cleanup_(profile_unrefp) struct profile *p = shipped("senml");
    char payload[20000], id[400];

    memset(payload, ' ', sizeof(payload) - 1);
    payload[sizeof(payload) - 1] = 0;
    check_read(p, NULL, payload, -EBADMSG, "(none)=b0 null", "more than 16384");
    memset(id, 'i', 200);
    id[200] = 0;
    snprintf(payload, sizeof(payload), "{\"id\":\"%s\",\"point\":\"p\",\"value\":1}", id);
    check_read(p, NULL, payload, -EBADMSG, "(none)=b0 null", "the command's id has over 128 bytes");
    memset(id, 'v', 300);
    id[300] = 0;
    snprintf(payload, sizeof(payload), "{\"id\":1,\"point\":\"p\",\"value\":\"%s\"}", id);
    check_read(p, NULL, payload, -EBADMSG, "(none)=b0 1", "at most 255 bytes");
}

static void test_members(void **state)
{
    _cleanup_(profile_unrefp) struct profile *p =
        parsed(COAP("{\"observe\":\".d/desired\",\"when\":{\"/v\":1},\"id\":\"/i\",\"members\":\"/set\"}"));

    check_read(p, NULL, "{\"v\":1,\"i\":3,\"set\":{\"a\":1,\"b\":null,\"c\":\"x\"}}", 0, "a=x1 3;c=sx 3", "");
    check_read(p, NULL, "{\"v\":2,\"set\":{\"a\":1}}", 0, "", "");
    check_read(p, NULL, "{\"v\":\"1\",\"set\":{\"a\":1}}", 0, "", "");
    check_read(p, NULL, "null", 0, "", "");
    check_read(p, NULL, "{\"v\":1,\"i\":3,\"set\":[1]}", -EBADMSG, "(none)=b0 3", "at /set the command has no object");
    check_read(p, NULL, "{\"v\":1,\"i\":3,\"set\":{\"a\":1,\"b\":{}}}", -EBADMSG, "(none)=b0 3",
               "at b the command has {}");
}

/* Topics and locations say the id and the point. */
static void test_captures(void **state)
{
    _cleanup_(profile_unrefp) struct profile *topic =
        parsed(MQTT("{\"topic\":\"a/{device}/{point}/set/{id}\",\"value\":\"\",\"reply\":{\"topic\":\"r/{id}\"}}"));
    _cleanup_(profile_unrefp) struct profile *location = parsed(COAP(
        "{\"poll\":{\"path\":\"t?ttd=9\"},\"location\":[\"c?cmd={point}\",\"cr/{id}?cmd={point}\"],\"value\":\"\"}"));

    check_read(topic, "a/boiler-1/setpoint/set/9", "21.5", 0, "setpoint=d21.5 \"9\"", "");
    check_read(topic, "a/boiler-1/setpoint/set", "21.5", 0, "", "");
    check_read(topic, "a/boiler-2/setpoint/set/9", "21.5", 0, "", "");
    check_read(topic, "a/boiler-1//set/9", "21.5", 0, "", "");
    check_read(topic, "a/boiler-1/p/set/9/more", "21.5", 0, "", "");
    check_read(topic, "a/boiler-1/p/set/9", "", 0, "", "");
    check_read(topic, "a/boiler-1/p/set/9", "ON", -EBADMSG, "(none)=b0 \"9\"", "not JSON");
    check_read(topic, NULL, "1", 0, "", "");
    check_read(topic, "a/boiler-1/\xed?/set/9", "1", 0, "", "");

    check_read(location, NULL, "1", 0, "", "");
    check_read(location, "cr/a%2Fb%22?x=1&cmd=set%20point", "true", 0, "set point=b1 \"a/b\\\"\"", "");
    check_read(location, "/c?cmd=p", "5", 0, "p=x5 null", "");
    check_read(location, "cr/9", "5", 0, "", "");
    check_read(location, "cr/9?cmd=p", "", -EBADMSG, "(none)=b0 \"9\"", "not JSON");
    check_read(location, "cr/%00?cmd=p", "5", 0, "", "");
    check_read(location, "cr/%4?cmd=p", "5", 0, "", "");
}

static void check_outcome(const struct profile *p, const char *id, const char *point, enum profile_outcome o,
                          const char *text, const char *target, const char *body)
{
    struct profile_command c = {.id = (char *)id, .point = (char *)point};
    _cleanup_(profile_message_done) struct profile_message m = {0};
    int r = profile_outcome(p, &names, &c, o, text, NULL, &m);

    assert_int_equal(r, target ? 1 : 0);
    if (!target)
        return;
    assert_string_equal(m.target, target);
    assert_string_equal(m.body, body);
    assert_int_equal(m.size, strlen(body));
}

static void test_outcomes(void **state)
{
    _cleanup_(profile_unrefp) struct profile *p = shipped("senml"), *mqtt = shipped("senml-mqtt");
    _cleanup_(profile_unrefp) struct profile *codes =
        parsed(MQTT("{\"topic\":\"q/{id}\",\"point\":\"/p\",\"value\":\"/v\",\"status\":{\"done\":0,\"busy\":8},"
                    "\"reply\":{\"topic\":\"r/{id}/{point}\",\"body\":[\"{status}\",\"{error}\",\"x{error}\"]}}"));
    _cleanup_(profile_unrefp) struct profile *path =
        parsed(COAP("{\"observe\":\"q\",\"id\":\"/i\",\"point\":\"/p\",\"value\":\"/v\","
                    "\"reply\":{\"path\":\"r/{id}?s={status}&e={error}\"}}"));
    _cleanup_(profile_unrefp) struct profile *silent =
        parsed(COAP("{\"observe\":\"q\",\"id\":\"/i\",\"point\":\"/p\",\"value\":\"/v\"}"));

    check_outcome(p, "7", "a", PROFILE_DONE, "", "commands/outcome", "{\"id\":7,\"ok\":true}");
    check_outcome(p, "\"x\"", "a", PROFILE_DENIED, "not \"writable\"", "commands/outcome",
                  "{\"id\":\"x\",\"ok\":false,\"error\":\"not \\\"writable\\\"\",\"status\":\"denied\"}");
    check_outcome(p, "{\"{device}\":\"{ok}\"}", NULL, PROFILE_INVALID, "what?", "commands/outcome",
                  "{\"id\":{\"{device}\":\"{ok}\"},\"ok\":false,\"error\":\"what?\",\"status\":\"invalid\"}");
    check_outcome(mqtt, "null", "a", PROFILE_DONE, "", "gatehouse/boiler-1/outcome", "{\"id\":null,\"ok\":true}");
    check_outcome(codes, "\"7\"", "a", PROFILE_DONE, "", "r/7/a", "[0,null,\"x\"]");
    check_outcome(codes, "\"7\"", "a/+#%", PROFILE_BUSY, "e", "r/7/a%2F%2B%23%", "[8,\"e\",\"xe\"]");
    check_outcome(codes, "null", "a", PROFILE_DONE, "", NULL, NULL);
    check_outcome(codes, "\"7\"", NULL, PROFILE_DONE, "", NULL, NULL);
    check_outcome(path, "\"a/b?c&d=e%\"", "a", PROFILE_FAILED, "\xc3\xa9 #",
                  "r/a%2Fb%3Fc%26d%3De%25?s=failed&e=%C3%A9%20%23", "");
    check_outcome(silent, "7", "a", PROFILE_DONE, "", NULL, NULL);
}

static void check_cbor(const struct profile *p, const char *topic, int format, const char *hex, int expected,
                       const char *text, const char *words, const char *reply)
{
    _cleanup_(profile_commands_done) struct profile_commands c = {0};
    _cleanup_(profile_message_done) struct profile_message m = {0};
    struct error e = {""};
    uint8_t data[256], body[256];
    ssize_t n = hex_decode(hex, strlen(hex), data, sizeof(data)), n_body;
    int r = profile_commands(p, 0, &names, topic, format, data, (size_t)n, &c, &e);

    if (r != expected || strcmp(told(&c), text) != 0 || !strstr(e.text, words))
        fail_msg("%s: %d, %s, %s", hex, r, told(&c), e.text);
    if (!reply)
        return;
    assert_int_equal(profile_outcome(p, &names, &c.list[0], r < 0 ? PROFILE_INVALID : PROFILE_DONE, "", NULL, &m), 1);
    n_body = hex_decode(reply, strlen(reply), body, sizeof(body));
    if (m.size != (size_t)n_body || memcmp(m.body, body, m.size) != 0)
        fail_msg("%s is answered otherwise than by %s", hex, reply);
    if (p->transport == PROFILE_COAP)
        assert_int_equal(m.content_format, c.list[0].cbor ? 60 : 50);
}

/* {"id":"dlXdqyeh","method":"setpoint","params":[21.5]} as Golioth documents its calls, and what is answered: in the
 * format that the message says, or else that was asked for. */
static void test_cbor(void **state)
{
#define CALL "a362696468646c586471796568666d6574686f6468736574706f696e7466706172616d7381fb4035800000000000"
#define SOURCE                                                                                                         \
    "\"ignore\":[\"OK\",null],\"id\":\"/id\",\"point\":\"/method\",\"value\":\"/params/0\","                           \
    "\"status\":{\"done\":0,\"invalid\":3},\"reply\":{\"path\":\".rpc/status\","
#define BODY "\"body\":{\"id\":\"{id}\",\"status\":\"{status}\",\"detail\":{\"error\":\"{error}\"}}}"
    static const char call[] = "setpoint=d21.5 \"dlXdqyeh\"",
                      done[] = "a362696468646c58647179656866737461747573006664657461696ca0",
                      json[] = "7b226964223a22646c586471796568222c22737461747573223a302c2264657461696c223a7b7d7d";
    _cleanup_(profile_unrefp) struct profile *asked =
        parsed(COAP("{\"observe\":\".rpc\",\"accept\":60," SOURCE BODY "}"));
    _cleanup_(profile_unrefp) struct profile *any = parsed(COAP("{\"observe\":\".rpc\"," SOURCE BODY "}"));
    _cleanup_(profile_unrefp) struct profile *fixed =
        parsed(COAP("{\"observe\":\".rpc\",\"accept\":60," SOURCE "\"content_format\":50," BODY "}"));
    _cleanup_(profile_unrefp) struct profile *settings =
        parsed(COAP("{\"observe\":\".c\",\"accept\":60,\"id\":\"/version\",\"members\":\"/settings\"}"));
    _cleanup_(profile_unrefp) struct profile *mqtt =
        parsed(MQTT("{\"topic\":\"c\",\"format\":\"cbor\",\"point\":\"/p\",\"value\":\"/v\","
                    "\"reply\":{\"topic\":\"r\",\"body\":{\"ok\":\"{ok}\"}}}"));

    check_cbor(asked, NULL, 60, CALL, 0, call, "", done);
    check_cbor(asked, NULL, -1, CALL, 0, call, "", done);
    check_cbor(any, NULL, 60, CALL, 0, call, "", done);
    check_cbor(any, NULL, -1, CALL, -EBADMSG, "(none)=b0 null", "the command is not JSON", NULL);
    check_cbor(asked, NULL, 50, CALL, -EBADMSG, "(none)=b0 null", "the command is not JSON", NULL);
    check_cbor(asked, NULL, 60, "624f4b", 0, "", "", NULL);
    check_cbor(asked, NULL, 60, "f6", 0, "", "", NULL);
    check_cbor(asked, NULL, 60, "a1626964", -EBADMSG, "(none)=b0 null",
               "the command is not CBOR: byte 4: it ends in the middle", "a3626964f666737461747573036664657461696ca0");
    check_cbor(asked, NULL, 60, "a262696401666d6574686f64624f4b", -EBADMSG, "(none)=b0 1",
               "at /params/0 the command has no value",
               "a362696401667374617475730366646574"
               "61696ca0");
    check_cbor(settings, NULL, 60,
               "a26776657273696f6e1b00000180a96af86f6873657474696e6773a26c4c4f4f505f44454c41595f53056576616c7665f5", 0,
               "LOOP_DELAY_S=x5 1652109801583;valve=b1 1652109801583", "", NULL);
    check_cbor(mqtt, "c", -1, "a2617068736574706f696e74617605", 0, "setpoint=x5 null", "", "a1626f6bf5");
    /* What the profile says of the answer itself goes before. */
    {
        _cleanup_(profile_commands_done) struct profile_commands c = {0};
        _cleanup_(profile_message_done) struct profile_message m = {0};
        uint8_t data[64];
        ssize_t n = hex_decode(CALL, strlen(CALL), data, sizeof(data));

        assert_int_equal(profile_commands(fixed, 0, &names, NULL, 60, data, (size_t)n, &c, NULL), 0);
        assert_int_equal(profile_outcome(fixed, &names, &c.list[0], PROFILE_DONE, "", NULL, &m), 1);
        assert_int_equal(m.content_format, 50);
        assert_int_equal(hex_decode(json, strlen(json), data, sizeof(data)), m.size);
        assert_memory_equal(m.body, data, m.size);
    }
}

static void test_listening(void **state)
{
    _cleanup_(profile_unrefp) struct profile *p = shipped("senml"), *mqtt = shipped("senml-mqtt");
    _cleanup_(profile_unrefp) struct profile *captures =
        parsed(MQTT("{\"topic\":\"a/{device}/{point}/set/{id}\",\"value\":\"\"}"));
    _cleanup_(profile_unrefp) struct profile *poll = parsed(
        COAP("{\"poll\":{\"method\":\"POST\",\"path\":\"t?ttd=9&d={device}\",\"text\":\"{opaque}\"},\"every\":\"5s\","
             "\"location\":[\"c/{point}\"],\"value\":\"\"}"));
    _cleanup_(profile_unrefp) struct profile *cbor =
        parsed(COAP("{\"poll\":{\"method\":\"GET\",\"path\":\"c\"},\"accept\":60,\"members\":\"\"}"));
    static const struct {
        int index, accept;
        const char *target, *body;
    } expected[] = {{0, 50, "commands", ""},
                    {1, -1, "gatehouse/boiler-1/command", ""},
                    {2, -1, "a/boiler-1/+/set/+", ""},
                    {3, -1, "t?ttd=9&d=boiler-1", "abcdefghij"},
                    {4, 60, "c", ""}};
    const struct profile *profiles[] = {p, mqtt, captures, poll, cbor};

    for (size_t i = 0; i < ELEMENTSOF(expected); i++) {
        _cleanup_(profile_message_done) struct profile_message m = {0};

        assert_int_equal(profiles[i]->n_sources, 1);
        assert_int_equal(profile_source(profiles[i], 0, &names, &m), 0);
        assert_string_equal(m.target, expected[i].target);
        assert_string_equal(m.body, expected[i].body);
        assert_int_equal(m.accept, expected[i].accept);
    }
    assert_int_equal(poll->sources[0].kind, PROFILE_POLL);
    assert_int_equal(poll->sources[0].interval, 5000000);
    assert_int_equal(p->sources[0].kind, PROFILE_SUBSCRIBE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_values),   cmocka_unit_test(test_too_large), cmocka_unit_test(test_members),
        cmocka_unit_test(test_captures), cmocka_unit_test(test_outcomes),  cmocka_unit_test(test_listening),
        cmocka_unit_test(test_cbor),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
