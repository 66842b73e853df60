/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What a driver may say and when, without a socket: each malformed message by name, all kinds in all states, credits,
 * and one answer a request. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include "base/cleanup.h"
#include "base/id.h"
#include "base/json.h"
#include "link-packets.h"
#include "link/dialog.h"

#include <cmocka.h>
#include <errno.h>
#include <stdio.h>

struct fixture {
    struct dialog dialog;
    struct packet packet;
    struct dialog_answer answer;
    struct error error;
    struct dialog_request requests[LINK_CALLS_MAX + 1];
};

#define HELLO "[3 'hello' 1 {3 'name' 'sim' 'abi' 2 'version' '1.0'"
#define REPORT "[3 'report' 7 [2 'a' [1 [5 'p' 1 21.5 'Cel' 0"
#define STATE "[5 'state' 8 'a' 'ok' ''"

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));

    f->packet.parts = calloc(LINK_REPORT_MAX, sizeof(*f->packet.parts));
    f->packet.samples = calloc(LINK_REPORT_MAX, sizeof(*f->packet.samples));
    f->answer.values = calloc(LINK_ANSWERS_MAX, sizeof(*f->answer.values));
    f->answer.complaints = calloc(LINK_ANSWERS_MAX, sizeof(*f->answer.complaints));
    dialog_init(&f->dialog, NULL);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;

    free(f->packet.parts);
    free(f->packet.samples);
    free(f->answer.values);
    free(f->answer.complaints);
    free(f);
    return 0;
}

/* In a buffer of exactly its size, which is gone afterwards: what is looked at later must have been copied. */
static int say_bytes(struct fixture *f, const void *bytes, size_t n)
{
    static uint8_t *kept;

    free(kept);
    kept = malloc(n > 0 ? n : 1);
    memcpy(kept, bytes, n);
    f->error.text[0] = 0;
    return dialog_receive(&f->dialog, kept, n, &f->packet, &f->answer, &f->error);
}

static int say(struct fixture *f, const char *words)
{
    static uint8_t buffer[LINK_PACKET_MAX];

    return say_bytes(f, buffer, packet_of(words, buffer));
}

/* A dialog in its state, with all credits. */
static void enter(struct fixture *f, enum dialog_state state)
{
    dialog_init(&f->dialog, NULL);
    if (state != DIALOG_NEW)
        assert_int_equal(say(f, HELLO), 0);
    assert_int_equal(dialog_grant(&f->dialog, SIZE_MAX), LINK_CREDITS);
    assert_int_equal(f->dialog.state, state);
}

static void test_malformed(void **state)
{
    static const struct {
        const char *words, *error;
    } rows[] = {
        {"", "cut short"},
        {"7", "an array was expected"},
        {"[0", "a message begins with its kind and a serial"},
        {"[1 'report'", "a message begins with its kind and a serial"},
        {"[2 7 1", "a text was expected"},
        {"[2 'reboot' 1", "a message of an unknown kind"},
        {"[2 'Report' 1", "a message of an unknown kind"},
        {"[2 'a kind that is far too long' 1", "a text longer than its limit"},
        {"[2 'report' 'one'", "a whole number, not negative, was expected"},
        {"[2 'report' -1", "a whole number, not negative, was expected"},
        {"[2 'hello' 1", "hello has a map of name, abi and version"},
        {"[3 'hello' 1 'sim'", "a map was expected"},
        {"[3 'hello' 1 {0", "hello lacks its name, abi or version"},
        {"[3 'hello' 1 {2 'name' 'sim' 'abi' 2", "hello lacks its name, abi or version"},
        {"[3 'hello' 1 {3 'name' 'sim' 'abi' 0 'version' '1'", "hello lacks its name, abi or version"},
        {"[3 'hello' 1 {2 'name' 'sim' 'name' 'modbus'", "hello has a key that is unknown, or there already"},
        {"[3 'hello' 1 {1 'colour' 'red'", "hello has a key that is unknown, or there already"},
        {"[3 'hello' 1 {1 'name' '../sim'", "a name or id that is not " ID_RULE},
        {"[3 'hello' 1 {1 'name' ''", "a name or id that is not " ID_RULE},
        {"[3 'hello' 1 {1 'abi' 'two'", "a whole number, not negative, was expected"},
        {HELLO " 7", "more than its one message"},
        {"[2 'report' 1", "a report without samples"},
        {"[3 'report' 1 'a'", "an array was expected"},
        {"[3 'report' 1 [1 'a'", "a part of a report is a device and its samples"},
        {"[3 'report' 1 [2 'a b' [0", "a name or id that is not " ID_RULE},
        {"[3 'report' 1 [2 'a' [0", "a device without samples in a report"},
        {"[3 'report' 1 [2 'a' [1 [4 'p' 1 1 ''", "a sample is point, time, value, unit and flags"},
        {"[3 'report' 1 [2 'a' [1 [5 '-p' 1 1 '' 0", "a name or id that is not " ID_RULE},
        {"[3 'report' 1 [2 'a' [1 [5 'p' -1 1 '' 0", "a whole number, not negative, was expected"},
        {"[3 'report' 1 [2 'a' [1 [5 'p' 1 [0 '' 0", "a bool, a number or a text was expected"},
        {"[3 'report' 1 [2 'a' [1 [5 'p' 1 1 7 0", "a text was expected"},
        {"[3 'report' 1 [2 'a' [1 [5 'p' 1 1 'a\nb' 0", "a unit with control characters"},
        {"[3 'report' 1 [2 'a' [1 [5 'p' 1 1 '01234567890123456789012345678901' 0", "a text longer than its limit"},
        {"[3 'report' 1 [2 'a' [1 [5 'p' 1 1 '' 16", "a number beyond its limit"},
        {"[3 'report' 1 [2 'a' [1 [5 'p' 1 1 '' 0 0", "more than its one message"},
        {"[4 'report' 1 [2 'a' [1 [5 'p' 1 1 '' 0", "cut short"},
        {"[4 'state' 1 'a' 'ok'", "a state has a device, the state and a reason"},
        {"[5 'state' 1 'a' 'perfect' ''", "a state that is not ok, degraded, failed or closed"},
        {"[5 'state' 1 'a' '' ''", "a state that is not ok, degraded, failed or closed"},
        {"[5 'state' 1 'a' 'ok' f", "a text was expected"},
        {"[3 'answer' 1 0", "an answer has an errno, and a value or text"},
        {"[4 'answer' 1 -5 'x'", "a whole number, not negative, was expected"},
        {"[4 'answer' 1 4096 'x'", "a number beyond its limit"},
        {"[4 'answer' 1 5 7", "a text was expected"},
    };
    struct fixture *f = *state;

    for (size_t i = 0; i < ELEMENTSOF(rows); i++) {
        char wanted[ERROR_TEXT_MAX];

        snprintf(wanted, sizeof(wanted), "a malformed packet: %s", rows[i].error);
        enter(f, i % 2 ? DIALOG_READY : DIALOG_NEW);
        assert_int_equal(say(f, rows[i].words), -EBADMSG);
        assert_string_equal(f->error.text, wanted);
        assert_int_equal(f->dialog.state, DIALOG_ENDED);
    }
}

/* Each packet cut at each byte, and with each byte more: never read beyond, never half taken. */
static void test_cut(void **state)
{
    static const char *const all[] = {HELLO, REPORT, STATE, "[4 'answer' 1 5 'no'"};
    struct fixture *f = *state;

    for (size_t i = 0; i < ELEMENTSOF(all); i++) {
        static uint8_t buffer[LINK_PACKET_MAX];
        size_t n = packet_of(all[i], buffer);

        for (size_t k = 0; k <= n; k++) {
            enter(f, i == 0 ? DIALOG_NEW : DIALOG_READY);
            if (k < n)
                assert_int_equal(say_bytes(f, buffer, k), -EBADMSG);
            assert_int_equal(f->dialog.unanswered, 0);
        }
        buffer[n] = 0;
        enter(f, i == 0 ? DIALOG_NEW : DIALOG_READY);
        assert_int_equal(say_bytes(f, buffer, n + 1), -EBADMSG);
    }
}

/* Every kind in every state. */
static void test_walk(void **state)
{
    static const struct {
        const char *words;
        int r[2];             /* new, ready */
        const char *error[2]; /* NULL: taken */
    } rows[PACKET_KINDS] = {
        [PACKET_HELLO] = {HELLO, {0, -EPROTO}, {NULL, "a second hello"}},
        [PACKET_REPORT] = {REPORT, {-EPROTO, 0}, {"a report before hello", NULL}},
        [PACKET_STATE] = {STATE, {-EPROTO, 0}, {"a state before hello", NULL}},
        [PACKET_KEEP] = {"[4 'keep' 1 'a' '17'", {-EPROTO, 0}, {"a keep before hello", NULL}},
        [PACKET_ANSWER] = {"[4 'answer' 1 0 7",
                           {-EPROTO, -EPROTO},
                           {"a answer before hello", "an answer to a request that was not made, or is answered"}},
    };
    struct fixture *f = *state;

    for (int kind = 0; kind < PACKET_KINDS; kind++)
        for (int i = 0; i < 2; i++) {
            char words[64];
            int r;

            enter(f, i ? DIALOG_READY : DIALOG_NEW);
            snprintf(words, sizeof(words), "[2 '%s' 1", packet_kind_name((enum packet_kind)kind));
            r = say(f, rows[kind].words ?: words);
            if (!rows[kind].words) {
                assert_int_equal(r, -EBADMSG);
                assert_string_equal(f->error.text, "a malformed packet: a message that only the agent sends");
            } else {
                assert_int_equal(r, rows[kind].r[i]);
                assert_string_equal(f->error.text, rows[kind].error[i] ?: "");
            }
            assert_int_equal(f->dialog.state, r < 0 ? DIALOG_ENDED : DIALOG_READY);
        }
}

static void test_names(void **state)
{
    struct fixture *f = *state;

    dialog_init(&f->dialog, "modbus");
    assert_int_equal(say(f, HELLO), -EACCES);
    assert_string_equal(f->error.text, "the user gatehouse-modbus is not the driver sim");
    dialog_init(&f->dialog, "sim");
    assert_int_equal(say(f, HELLO), 0);
    assert_string_equal(f->packet.device, "sim");
    assert_string_equal(f->packet.text, "1.0");
    dialog_init(&f->dialog, NULL);
    assert_int_equal(say(f, "[3 'hello' 1 {3 'name' 'sim' 'abi' 1 'version' ''"), -EPROTO);
    assert_string_equal(f->error.text, "it speaks version 1 of the driver protocol, this agent versions 2 to 4");
}

static void test_report(void **state)
{
    struct fixture *f = *state;

    enter(f, DIALOG_READY);
    assert_int_equal(
        say(f, "[4 'report' 7 [2 'a' [2 [5 'p' 1 21.5 'Cel' 0 [5 'q' 2 t '' 15 [2 'b' [1 [5 'p' 3 'x' '' 2"), 0);
    assert_int_equal(f->packet.serial, 7);
    assert_int_equal(f->packet.n_parts, 2);
    assert_int_equal(f->packet.n_samples, 3);
    assert_string_equal(f->packet.parts[1].device, "b");
    assert_int_equal(f->packet.parts[1].first, 2);
    assert_string_equal(f->packet.samples[0].point, "p");
    assert_string_equal(f->packet.samples[0].unit, "Cel");
    assert_true(f->packet.samples[0].value.d > 21.4 && f->packet.samples[0].value.d < 21.6);
    assert_true(f->packet.samples[1].value.b);
    assert_int_equal(f->packet.samples[1].quality, SAMPLE_QUALITY_ALL);
    assert_string_equal(f->packet.samples[2].value.s, "x");
    assert_int_equal(f->dialog.granted, LINK_CREDITS - 3);
    assert_int_equal(f->dialog.unanswered, 3);
}

/* n samples in one packet, all of one device. */
static int report(struct fixture *f, size_t n)
{
    static uint8_t buffer[2 * LINK_PACKET_MAX];
    const struct sample s = {"p", 1, {.type = SAMPLE_INT, .x = 1}, "", 0};
    struct cbor_writer w;

    cbor_writer_init(&w, buffer, sizeof(buffer));
    packet_begin(&w, PACKET_REPORT, 1, 1);
    packet_put_part(&w, "a", n);
    for (size_t i = 0; i < n; i++)
        packet_put_sample(&w, &s);
    return say_bytes(f, buffer, cbor_written(&w));
}

static void test_limits(void **state)
{
    struct fixture *f = *state;
    static uint8_t large[LINK_PACKET_MAX + 1];

    enter(f, DIALOG_READY);
    assert_int_equal(report(f, LINK_REPORT_MAX), 0);
    assert_int_equal(report(f, LINK_REPORT_MAX + 1), -EBADMSG);
    assert_string_equal(f->error.text, "a malformed packet: too many samples in one report");
    enter(f, DIALOG_READY);
    assert_int_equal(say_bytes(f, large, sizeof(large)), -EBADMSG);
}

static void test_credits(void **state)
{
    struct fixture *f = *state;

    enter(f, DIALOG_READY);
    for (size_t i = 0; i < LINK_CREDITS / LINK_REPORT_MAX; i++)
        assert_int_equal(report(f, LINK_REPORT_MAX), 0);
    /* the window is used up until something is answered */
    assert_int_equal(dialog_grant(&f->dialog, SIZE_MAX), 0);
    dialog_answered(&f->dialog, LINK_REPORT_MAX);
    assert_int_equal(dialog_grant(&f->dialog, 50), 50);
    assert_int_equal(report(f, 50), 0);
    assert_int_equal(report(f, 1), -EPROTO);
    assert_string_equal(f->error.text, "1 samples in a report, with credits for 0");
    /* fewer later do not take back what was granted and may be on its way */
    enter(f, DIALOG_READY);
    assert_int_equal(dialog_grant(&f->dialog, 50), 50);
    assert_int_equal(report(f, 100), 0);
    /* before any were granted */
    dialog_init(&f->dialog, NULL);
    assert_int_equal(say(f, HELLO), 0);
    assert_int_equal(report(f, 1), -EPROTO);
}

/* What each request takes for an answer: its value, and what is none. */
static void test_answers(void **state)
{
    static const struct {
        enum packet_kind kind;
        const char *value;
        const char *error; /* NULL: taken */
        size_t n;
    } rows[] = {
        {PACKET_WRITE, "21.5", NULL, 0},
        {PACKET_WRITE, "[0", "an answer to write: a bool, a number or a text was expected", 0},
        {PACKET_READ, "'open'", NULL, 0},
        {PACKET_READ, "1 2", "an answer to read: more than its one message", 0},
        {PACKET_READ, "", "an answer to read: cut short", 0},
        {PACKET_RAW, "[3 1 t 'x'", NULL, 3},
        {PACKET_RAW, "1", "an answer to raw: an array was expected", 0},
        {PACKET_WRITES, "[2 1 'x'", NULL, 2},
        {PACKET_WRITES, "1", "an answer to writes: an array was expected", 0},
        {PACKET_CHECK, "[0", NULL, 0},
        {PACKET_CHECK, "[1 [2 '/section' 'bad'", NULL, 1},
        {PACKET_CHECK, "[1 [1 '/section'", "an answer to check: a complaint is a pointer and a message", 0},
        {PACKET_CHECK, "[1 [2 '/section' 1", "an answer to check: a text was expected", 0},
        {PACKET_SCAN, "[2 {2 'id' 'x' 'rssi' -70 {0", NULL, 0},
        {PACKET_SCAN, "[1 {2 'id' 'x' 'id' 'y'", "an answer to scan: a key that is there already", 0},
        {PACKET_SCAN, "[1 {1 'id' [0", "an answer to scan: a bool, a number or a text was expected", 0},
        {PACKET_SCAN, "[1 {1 'a b' 1", "an answer to scan: a key that is not " ID_RULE, 0},
        {PACKET_SCAN, "[1 'x'", "an answer to scan: a map was expected", 0},
        {PACKET_STATISTICS, "{1 'requests' 5", NULL, 0},
        {PACKET_STATISTICS, "[0", "an answer to statistics: a map was expected", 0},
        {PACKET_STATISTICS, "{1 'requests' 5 1", "an answer to statistics: more than its one message", 0},
        {PACKET_SECRET, "0", NULL, 0},
        {PACKET_SECRET, "1", "an answer to secret: a number beyond its limit", 0},
        {PACKET_QUIT, "0", NULL, 0},
        {PACKET_QUIT, "t", "an answer to quit: a whole number, not negative, was expected", 0},
    };
    struct fixture *f = *state;

    for (size_t i = 0; i < ELEMENTSOF(rows); i++) {
        char words[128];
        int r;

        enter(f, DIALOG_READY);
        assert_int_equal(dialog_ask(&f->dialog, &f->requests[0], rows[i].kind, 10), 0);
        snprintf(words, sizeof(words), "[4 'answer' %d 0 %s", (int)f->requests[0].serial, rows[i].value);
        r = say(f, words);
        assert_string_equal(f->error.text, rows[i].error ?: "");
        assert_int_equal(r < 0, rows[i].error != NULL);
        if (r >= 0) {
            assert_ptr_equal(f->answer.request, &f->requests[0]);
            assert_int_equal(f->answer.n, rows[i].n);
            assert_null(dialog_end(&f->dialog));
            json_object_put(f->answer.found);
        } else {
            assert_null(f->answer.request);
            assert_null(f->answer.found);
            assert_ptr_equal(dialog_end(&f->dialog), &f->requests[0]);
        }
    }
}

static void test_found(void **state)
{
    struct fixture *f = *state;

    enter(f, DIALOG_READY);
    assert_int_equal(dialog_ask(&f->dialog, &f->requests[0], PACKET_SCAN, 10), 0);
    assert_int_equal(say(f, "[4 'answer' 1 0 [1 {3 'id' 'x' 'rssi' -70 'new' t"), 0);
    assert_string_equal(json_object_to_json_string_ext(f->answer.found, JSON_C_TO_STRING_PLAIN),
                        "[{\"id\":\"x\",\"rssi\":-70,\"new\":true}]");
    json_object_put(f->answer.found);
}

/* One answer a request, in any order; a late one is taken and is the last. */
static void test_requests(void **state)
{
    struct fixture *f = *state;
    struct dialog_request *q = f->requests;

    enter(f, DIALOG_READY);
    for (size_t i = 0; i < LINK_CALLS_MAX; i++)
        assert_int_equal(dialog_ask(&f->dialog, &q[i], PACKET_READ, 100 + i), 0);
    assert_int_equal(dialog_ask(&f->dialog, &q[LINK_CALLS_MAX], PACKET_READ, 100), -EBUSY);
    assert_int_equal(dialog_next_deadline(&f->dialog), 100);
    assert_int_equal(say(f, "[4 'answer' 2 5 'no'"), 0);
    assert_ptr_equal(f->answer.request, &q[1]);
    assert_int_equal(f->answer.r, -5);
    assert_string_equal(f->answer.text, "no");
    assert_null(dialog_overdue(&f->dialog, 99));
    assert_ptr_equal(dialog_overdue(&f->dialog, 102), &q[0]);
    assert_ptr_equal(dialog_overdue(&f->dialog, 102), &q[2]);
    assert_null(dialog_overdue(&f->dialog, 102));
    assert_int_equal(dialog_next_deadline(&f->dialog), 103);
    /* those given up count until they are answered: who never answers is not asked for ever */
    assert_int_equal(dialog_ask(&f->dialog, &q[1], PACKET_READ, 500), 0);
    assert_int_equal(dialog_ask(&f->dialog, &q[LINK_CALLS_MAX], PACKET_READ, 500), -EBUSY);
    assert_int_equal(say(f, "[4 'answer' 1 0 7"), 0);
    assert_ptr_equal(f->answer.request, &q[0]);
    assert_true(f->answer.request->given_up);
    assert_int_equal(say(f, "[4 'answer' 1 0 7"), -EPROTO);
    assert_string_equal(f->error.text, "an answer to a request that was not made, or is answered");
    for (size_t i = 0; i < LINK_CALLS_MAX - 1; i++)
        assert_non_null(dialog_end(&f->dialog));
    assert_null(dialog_end(&f->dialog));
    assert_int_equal(dialog_next_deadline(&f->dialog), UINT64_MAX);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_malformed, setup, teardown),
        cmocka_unit_test_setup_teardown(test_cut, setup, teardown),
        cmocka_unit_test_setup_teardown(test_walk, setup, teardown),
        cmocka_unit_test_setup_teardown(test_names, setup, teardown),
        cmocka_unit_test_setup_teardown(test_report, setup, teardown),
        cmocka_unit_test_setup_teardown(test_limits, setup, teardown),
        cmocka_unit_test_setup_teardown(test_credits, setup, teardown),
        cmocka_unit_test_setup_teardown(test_answers, setup, teardown),
        cmocka_unit_test_setup_teardown(test_found, setup, teardown),
        cmocka_unit_test_setup_teardown(test_requests, setup, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
