/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What the agent and gatehouse-registrar believe of each other: a wrong conclusion here forgets a key that the cloud
 * still wants, or keeps offering one that it has. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include "registrar/wire.h"
#include "request.h"

#include <cmocka.h>
#include <stdio.h>
#include <string.h>

static const struct {
    enum wire_action action;
    const char *text;
    enum registrar_result result;
    bool maybe_sent;
    const char *cloud_id;
    uint64_t retry_after;
} answers[] = {
    {WIRE_PUT, "{\"result\":\"ok\",\"cloud_id\":\"d~c\"}", REGISTRAR_OK, true, "d~c", 0},
    {WIRE_PUT, "{\"result\":\"exists-ours\",\"cloud_id\":\"\"}", REGISTRAR_EXISTS_OURS, true, "", 0},
    {WIRE_PUT, "{\"result\":\"conflict\",\"reason\":\"a clone?\"}", REGISTRAR_CONFLICT, true, "", 0},
    {WIRE_PUT, "{\"result\":\"invalid\"}", REGISTRAR_INVALID, true, "", 0},
    {WIRE_FIND, "{\"result\":\"absent\"}", REGISTRAR_ABSENT, true, "", 0},
    {WIRE_FIND, "{\"result\":\"conflict\"}", REGISTRAR_CONFLICT, true, "", 0},
    {WIRE_DELETE, "{\"result\":\"ok\"}", REGISTRAR_OK, true, "", 0},
    {WIRE_DELETE, "{\"result\":\"absent\"}", REGISTRAR_ABSENT, true, "", 0},
    {WIRE_PUT, "{\"result\":\"retry\",\"maybe_sent\":false,\"retry_after\":7}", REGISTRAR_RETRY, false, "",
     7 * USEC_PER_SEC},
    {WIRE_PUT, "{\"result\":\"retry\",\"retry_after\":999999}", REGISTRAR_RETRY, true, "", USEC_PER_HOUR},
    /* nothing is concluded from what is no answer, and it may have been carried out */
    {WIRE_PUT, "", REGISTRAR_RETRY, true, "", 0},
    {WIRE_PUT, "{\"result\":\"ok\"", REGISTRAR_RETRY, true, "", 0},
    {WIRE_PUT, "{\"result\":\"ok\"} {}", REGISTRAR_RETRY, true, "", 0},
    {WIRE_PUT, "{\"result\":\"ok\",\"result\":\"retry\"}", REGISTRAR_RETRY, true, "", 0},
    {WIRE_PUT, "/**/{\"result\":\"ok\"}", REGISTRAR_RETRY, true, "", 0},
    {WIRE_PUT, "[\"ok\"]", REGISTRAR_RETRY, true, "", 0},
    {WIRE_PUT, "{\"result\":0}", REGISTRAR_RETRY, true, "", 0},
    {WIRE_PUT, "{\"result\":\"OK\"}", REGISTRAR_RETRY, true, "", 0},
    {WIRE_PUT, "{\"result\":\"absent\"}", REGISTRAR_RETRY, true, "", 0},
    {WIRE_DELETE, "{\"result\":\"invalid\"}", REGISTRAR_RETRY, true, "", 0},
    {WIRE_DELETE, "{\"result\":\"conflict\"}", REGISTRAR_RETRY, true, "", 0},
    {WIRE_PUT, "{\"result\":\"ok\",\"cloudid\":\"x\"}", REGISTRAR_RETRY, true, "", 0},
    {WIRE_PUT, "{\"result\":\"ok\",\"cloud_id\":\"../x\"}", REGISTRAR_RETRY, true, "", 0},
    {WIRE_PUT, "{\"result\":\"ok\",\"cloud_id\":7}", REGISTRAR_RETRY, true, "", 0},
    {WIRE_PUT, "{\"result\":\"retry\",\"maybe_sent\":0}", REGISTRAR_RETRY, true, "", 0},
    {WIRE_PUT, "{\"result\":\"retry\",\"retry_after\":-1}", REGISTRAR_RETRY, true, "", 0},
    {WIRE_PUT, "{\"result\":\"ok\",\"reason\":\"a\\nb\"}", REGISTRAR_RETRY, true, "", 0},
};

static void test_answers(void **state)
{
    for (size_t i = 0; i < ELEMENTSOF(answers); i++) {
        struct answer_texts texts;
        struct registrar_answer a;

        wire_read_answer(answers[i].action, answers[i].text, strlen(answers[i].text), &texts, &a);
        if (a.result != answers[i].result || a.maybe_sent != answers[i].maybe_sent)
            print_error("%s: %s, %s\n", answers[i].text, registrar_result_text(a.result), a.reason);
        assert_int_equal(a.result, answers[i].result);
        assert_int_equal(a.maybe_sent, answers[i].maybe_sent);
        assert_string_equal(a.cloud_id, answers[i].cloud_id);
        assert_int_equal(a.retry_after, answers[i].retry_after);
        assert_true(a.result == REGISTRAR_OK || a.result == REGISTRAR_EXISTS_OURS || a.reason[0]);
    }
}

static void test_answer_written(void **state)
{
    const struct registrar_answer a = {.result = REGISTRAR_RETRY,
                                       .maybe_sent = true,
                                       .cloud_id = "",
                                       .reason = "two\nlines",
                                       .retry_after = 1500 * USEC_PER_MSEC};
    struct answer_texts texts;
    struct registrar_answer back;
    char *text;

    assert_int_equal(wire_write_answer(&a, &text), 0);
    wire_read_answer(WIRE_PUT, text, strlen(text), &texts, &back);
    assert_int_equal(back.result, REGISTRAR_RETRY);
    assert_string_equal(back.reason, "two lines");
    assert_int_equal(back.retry_after, 2 * USEC_PER_SEC); /* never earlier than asked */
    free(text);
}

#define GOLIOTH "{\"type\":\"golioth\",\"project\":\"p\",\"url\":\"https://api\"}"

static void test_request(void **state)
{
    const struct wire_request w = {.action = WIRE_PUT,
                                   .device = "boiler-1",
                                   .identity = "a\"b@p",
                                   .cloud_id = "",
                                   .other_id = "d~c",
                                   .offered = true,
                                   .create = true,
                                   .clock = true,
                                   .settings = GOLIOTH};
    struct request q;
    struct error e;
    char *head, text[1024];

    assert_int_equal(wire_write_request(&w, &head), 0);
    snprintf(text, sizeof(text), "%s,\"encoding\":\"text\",\"key\":\"0123456789abcdef\"}", head);
    free(head);
    assert_int_equal(request_parse(text, strlen(text), &q, &e), 0);
    assert_int_equal(q.action, WIRE_PUT);
    assert_string_equal(q.device, "boiler-1");
    assert_string_equal(q.identity, "a\"b@p");
    assert_string_equal(q.cloud_id, "");
    assert_string_equal(q.other_id, "d~c");
    assert_true(q.offered && q.create && q.clock && !q.replaces);
    assert_string_equal(q.key, "0123456789abcdef");
    assert_string_equal(q.realm, "p");
    assert_string_equal(q.url, "https://api");
    assert_null(q.proxy);
    request_done(&q);
}

#define REQUEST(action, more, settings)                                                                                \
    "{\"action\":\"" action                                                                                            \
    "\",\"device\":\"d\",\"identity\":\"i@p\",\"offered\":false,\"clock\":true,\"create\":true,\"mode\":\"adds\"" more \
    ",\"registrar\":" settings "}"

static void test_bad_requests(void **state)
{
    static const struct {
        const char *text, *told;
    } rows[] = {
        {REQUEST("put", "", GOLIOTH), "\"encoding\" is missing"},
        {REQUEST("put", ",\"encoding\":\"text\"", GOLIOTH), "\"key\" is missing"},
        {REQUEST("put", ",\"encoding\":\"text\",\"key\":\"\"", GOLIOTH), "is empty"},
        {REQUEST("put", ",\"encoding\":\"hex\",\"key\":\"00\"", GOLIOTH), "as text, not as hex"},
        {REQUEST("find", ",\"encoding\":\"hex\",\"key\":\"00\"", GOLIOTH), "only a put"},
        {REQUEST("find", ",\"colour\":\"red\"", GOLIOTH), "unknown key \"colour\""},
        {REQUEST("find", ",\"cloud_id\":\"../x\"", GOLIOTH), "\"cloud_id\""},
        {REQUEST("rename", "", GOLIOTH), "\"rename\" is unknown"},
        {REQUEST("find", "", "7"), "no object"},
        {REQUEST("find", "", "{\"type\":\"other\"}"), "\"other\" is unknown"},
        {REQUEST("find", "", "{\"type\":\"golioth\",\"project\":\"p\",\"url\":\"http://api\"}"), "plain text"},
        {REQUEST("find", "", "{\"type\":\"golioth\",\"project\":\"../p\",\"url\":\"https://a\"}"), "\"project\""},
        {REQUEST("find", "", "{\"type\":\"exec\",\"program\":\"../sh\"}"), "\"program\""},
        {REQUEST("find", "", "{\"type\":\"exec\",\"program\":\"x\",\"url\":\"https://a\"}"), "unknown key \"url\""},
        {"{\"action\":\"find\"}", "\"device\" is missing"},
        {"[]", "no object"},
    };

    for (size_t i = 0; i < ELEMENTSOF(rows); i++) {
        struct request q;
        struct error e = {0};

        assert_true(request_parse(rows[i].text, strlen(rows[i].text), &q, &e) < 0);
        if (!strstr(e.text, rows[i].told))
            fail_msg("%s\ntold: %s", rows[i].text, e.text);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_answers),
        cmocka_unit_test(test_answer_written),
        cmocka_unit_test(test_request),
        cmocka_unit_test(test_bad_requests),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
