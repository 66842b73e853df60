/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The agent's end of the driver protocol over real sockets, against peers that misbehave. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/names.h"
#include "link-bench.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define HELLO "[3 'hello' 1 {3 'name' 'sim' 'abi' 2 'version' '1.0'"
#define HELLO_3 "[3 'hello' 1 {3 'name' 'sim' 'abi' 3 'version' '1.0'"
#define REPORT_A "[3 'report' 7 [2 'a' [1 [5 'p' 1 1 '' 0"
#define REPORT_Z "[3 'report' 7 [2 'z' [1 [5 'p' 1 1 '' 0"

/* The credits of an answer to report 7. */
static size_t report(struct bench *f, int peer, const char *words)
{
    say(peer, words);
    return (size_t)number_in(hear(f, peer), "credit 7 ");
}

static int greet(struct bench *f, const char *words)
{
    int peer = connect_peer(f);

    say(peer, words);
    assert_non_null(strstr(hear(f, peer), "welcome 1 {credits 4000"));
    hear_until(f, peer, "end 0");
    return peer;
}

static void test_hello_and_devices(void **state)
{
    struct bench *f = *state;
    int peer = connect_peer(f);

    say(peer, HELLO);
    assert_non_null(strstr(hear(f, peer), "samples-per-second 5000"));
    assert_string_equal(hear(f, peer), "begin 0");
    assert_string_equal(hear(f, peer), "device 0 a {} {} false");
    assert_string_equal(hear(f, peer), "device 0 b {} {} false");
    assert_string_equal(hear(f, peer), "end 0");
    assert_string_equal(link_driver_version(f->driver), "1.0");
    assert_true(link_driver_connected(f->driver));
    close(peer);
}

/* A set is changed while it is being sent, and texts are longer than a packet. */
static void test_large_sets(void **state)
{
    enum { SIZE = 300000 };
    struct bench *f = *state;
    char *text = malloc(SIZE + 1), *whole = malloc(2 * SIZE + 1);
    const struct link_device device = {"a", "{}", text};
    int peer = greet(f, HELLO);
    size_t n = 0;

    for (size_t i = 0; i < SIZE; i++)
        text[i] = i % 2 ? '\xa9' : '\xc3'; /* cut between characters only */
    text[SIZE] = 0;
    for (int i = 0; i < 3; i++)
        assert_int_equal(link_host_set_devices(f->host, "sim", &device, 1), 0);
    for (const char *said = hear(f, peer); strcmp(said, "end 0") != 0; said = hear(f, peer)) {
        if (strcmp(said, "begin 0") == 0)
            n = 0;
        else {
            const char *from = strstr(said, "\xc3"), *to = strrchr(said, ' ');

            memcpy(whole + n, from, (size_t)(to - from));
            n += (size_t)(to - from);
        }
    }
    assert_int_equal(n, SIZE);
    assert_memory_equal(whole, text, SIZE);
    free(text);
    free(whole);
    close(peer);
}

/* Each breach closes the connection, with its reason, and leaves no trace. */
static void test_breaches(void **state)
{
    static const struct {
        const char *words, *reason;
    } rows[] = {
        {HELLO, "a second hello"},
        {"[3 'hello' 1 {3 'name' 'other' 'abi' 2 'version' ''", "a second hello"},
        {"[2 'welcome' 1", "a malformed packet: a message that only the agent sends"},
        {"[2 'reboot' 1", "a malformed packet: a message of an unknown kind"},
        {"[4 'answer' 1 0 7", "an answer to a request that was not made, or is answered"},
        {"[3 'report' 7 [2 'a' [2 [5 'p' 1 1 '' 0 [5 'p' 1 1 '' 99", "a malformed packet: a number beyond its limit"},
        {"7", "a malformed packet: an array was expected"},
    };
    struct bench *f = *state;

    for (size_t i = 0; i < ELEMENTSOF(rows); i++) {
        int peer = greet(f, HELLO);
        char bye[256];

        say(peer, rows[i].words);
        snprintf(bye, sizeof(bye), "bye 0 connection closed: %s", rows[i].reason);
        assert_string_equal(hear(f, peer), bye);
        assert_null(hear(f, peer));
        assert_string_equal(link_driver_last_error(link_host_find_driver(f->host, "sim")), bye + strlen("bye 0 "));
        assert_false(link_driver_connected(link_host_find_driver(f->host, "sim")));
        assert_null(link_host_find_driver(f->host, "other"));
        close(peer);
    }
    assert_int_equal(f->reports, 0);
}

/* Two drivers: neither can take the other's name or devices. */
static void test_no_other(void **state)
{
    struct bench *f = *state;
    int sim = greet(f, HELLO), other = greet(f, "[3 'hello' 1 {3 'name' 'other' 'abi' 2 'version' ''");

    say(other, REPORT_A);
    assert_non_null(strstr(hear(f, other), "credit 7 ")); /* of a device that it may not speak for: dropped */
    say(other, "[5 'state' 2 'a' 'failed' ''");
    say(other, HELLO);
    assert_non_null(strstr(hear(f, other), "a second hello"));
    assert_int_equal(f->reports, 0);
    assert_string_equal(f->state, "");
    assert_true(report(f, sim, REPORT_A) > 0);
    assert_int_equal(link_driver_counts(link_host_find_driver(f->host, "sim"))->connections, 1);
    close(other);
    close(sim);
}

static void test_descriptors_and_size(void **state)
{
    static uint8_t large[LINK_PACKET_MAX + 1];
    struct bench *f = *state;
    int peer = greet(f, HELLO), fd = open("/dev/null", O_RDONLY | O_CLOEXEC), before = count_descriptors();

    say_with(peer, REPORT_A, fd);
    assert_string_equal(hear(f, peer), "bye 0 connection closed: a descriptor that nobody asked for");
    assert_null(hear(f, peer));
    close(peer);
    peer = connect_peer(f);
    say_with(peer, HELLO, fd); /* nor before hello */
    assert_non_null(strstr(hear(f, peer), "a descriptor"));
    assert_null(hear(f, peer));
    close(peer);
    peer = connect_peer(f);
    assert_int_equal(send(peer, large, sizeof(large), 0), sizeof(large));
    assert_string_equal(hear(f, peer), "bye 0 connection closed: a packet that is too large");
    assert_null(hear(f, peer));
    close(peer);
    peer = connect_peer(f);
    assert_int_equal(send(peer, "", 0, 0), 0);
    assert_null(hear(f, peer));
    close(peer);
    assert_int_equal(count_descriptors(), before - 2); /* the first peer, and the agent's end of it */
    close(fd);
}

static void test_reports(void **state)
{
    struct bench *f = *state;
    int peer = greet(f, HELLO);

    assert_int_equal(
        report(f, peer, "[4 'report' 7 [2 'a' [2 [5 'p' 1 1 '' 0 [5 'q' 1 2 '' 0 [2 'b' [1 [5 'p' 1 3 '' 0"),
        LINK_CREDITS);
    assert_int_equal(f->reports, 2);
    assert_int_equal(f->samples, 3);
    assert_int_equal(f->last, 3);
    /* a device that was taken away: the others of the report are accepted */
    say(peer, "[4 'report' 8 [2 'z' [1 [5 'p' 1 1 '' 0 [2 'b' [1 [5 'p' 1 4 '' 0");
    assert_string_equal(hear(f, peer), "credit 8 4000 [19 0]");
    assert_int_equal(f->last, 4);
    f->answer = -ENOSPC;
    say(peer, REPORT_A);
    assert_string_equal(hear(f, peer), "credit 7 4000 [16]");
    f->answer = -EINVAL;
    say(peer, REPORT_A);
    assert_string_equal(hear(f, peer), "credit 7 4000 [22]");
    close(peer);
}

/* Answered when the last device is, in whatever order. */
static void test_held_reports(void **state)
{
    struct bench *f = *state;
    int peer = greet(f, HELLO);

    f->hold = true;
    say(peer, "[4 'report' 1 [2 'a' [1 [5 'p' 1 1 '' 0 [2 'b' [1 [5 'p' 1 1 '' 0");
    say(peer, "[3 'report' 2 [2 'b' [1 [5 'p' 1 1 '' 0");
    run_until_count(f, &f->n_held, 3);
    link_report_done(f->held[2], 0);
    assert_string_equal(hear(f, peer), "credit 2 3998");
    link_report_done(f->held[1], 0);
    link_report_done(f->held[0], -EIO);
    assert_string_equal(hear(f, peer), "credit 1 4000 [16 0]");
    f->n_held = 0;
    /* and one whose driver disconnects first */
    say(peer, REPORT_A);
    run_until_count(f, &f->n_held, 1);
    close(peer);
    run_until_away(f, "sim");
    link_report_done(f->held[--f->n_held], 0);
}

/* Who sends as fast as it may is answered late, and never without credits. */
static void test_rate(void **state)
{
    struct bench *f = *state;
    int peer = greet(f, HELLO);
    uint64_t begin = clock_boottime();
    size_t credits = LINK_CREDITS, n;

    for (size_t sent = 0; sent < 2 * LINK_SAMPLES_PER_SEC; sent += n) {
        n = MIN_OF(credits, (size_t)1000);
        say_samples(peer, 7, n);
        credits = (size_t)number_in(hear(f, peer), "credit 7 ");
        assert_in_range(credits, LINK_CREDITS_MIN, LINK_CREDITS);
    }
    /* one second's worth is granted at once, the rest flows in */
    assert_true(clock_boottime() - begin > USEC_PER_SEC / 2);
    /* and a new connection begins with what is left, not anew */
    close(peer);
    run_until_away(f, "sim");
    peer = connect_peer(f);
    say(peer, HELLO);
    assert_in_range(number_in(hear(f, peer), "welcome 1 {credits "), LINK_CREDITS_MIN, LINK_CREDITS / 2);
    close(peer);
}

static void test_too_many_samples(void **state)
{
    struct bench *f = *state;
    int peer = greet(f, HELLO);

    f->hold = true;
    for (int i = 0; i < 4; i++)
        say_samples(peer, 7, 1000);
    say(peer, REPORT_A);
    assert_string_equal(hear(f, peer), "bye 0 connection closed: 1 samples in a report, with credits for 0");
    assert_null(hear(f, peer));
    close(peer);
}

static void test_too_many_connections(void **state)
{
    struct bench *f = *state;
    int peer;

    for (int i = 0; i < LINK_CONNECTS; i++)
        close(greet(f, HELLO));
    peer = connect_peer(f);
    say(peer, HELLO);
    assert_string_equal(hear(f, peer), "bye 0 connection closed: it connects too often");
    assert_null(hear(f, peer));
    close(peer);
    /* others are not concerned */
    close(greet(f, "[3 'hello' 1 {3 'name' 'other' 'abi' 2 'version' ''"));
}

static void test_states(void **state)
{
    struct bench *f = *state;
    int peer = greet(f, HELLO);

    say(peer, "[5 'state' 1 'z' 'ok' ''"); /* no device of its */
    say(peer, "[5 'state' 1 'a' 'failed' 'line\nbreak'");
    run_until_count(f, &f->states, 1);
    assert_string_equal(f->state, "a failed line break");
    say(peer, "[5 'state' 1 'a' 'failed' 'line\nbreak'");
    assert_true(report(f, peer, REPORT_A) > 0);
    assert_int_equal(f->states, 1);
    close(peer);
}

/* A device that changes without end: a few are told, then the last one, after a while. */
static void test_state_storm(void **state)
{
    struct bench *f = *state;
    int peer = greet(f, HELLO);

    for (int i = 0; i < 500; i++)
        say_when_it_fits(f, peer, i % 2 ? "[5 'state' 1 'a' 'ok' ''" : "[5 'state' 1 'a' 'failed' 'no answer'");
    say_when_it_fits(f, peer, "[5 'state' 1 'a' 'degraded' 'the last'");
    say_when_it_fits(f, peer, "[5 'state' 1 'b' 'ok' ''");
    say_when_it_fits(f, peer, REPORT_A);
    assert_non_null(strstr(hear(f, peer), "credit 7"));
    assert_int_equal(f->states, LINK_STATES + 1);
    assert_string_equal(f->state, "b ok ");
    run_until_count(f, &f->states, LINK_STATES + 2);
    assert_string_equal(f->state, "a degraded the last");
    close(peer);
}

static void test_second_connection_replaces_the_first(void **state)
{
    struct bench *f = *state;
    int first = greet(f, HELLO), second = greet(f, HELLO);

    assert_null(hear(f, first));
    assert_true(link_driver_connected(f->driver));
    assert_int_equal(link_driver_counts(f->driver)->connections, 2);
    assert_true(report(f, second, REPORT_A) > 0);
    close(first);
    close(second);
}

/* Our own user is no driver's, and may not name itself unless the agent was started by hand. */
static void test_unknown_uid(void **state)
{
    struct bench *f = *state;
    int peer;

    link_host_free(f->host);
    start_host(f, false);
    for (int i = 0; i < LINK_CONNECTS + 5; i++) {
        peer = connect_peer(f);
        assert_null(hear(f, peer));
        close(peer);
    }
}

/* Names that come and go leave room: those of drivers with devices stay. */
static void test_names_without_devices_are_freed(void **state)
{
    struct bench *f = *state;

    for (int i = 0; i < LINK_DRIVERS_MAX + LINK_ACCOUNTS_MAX; i++) {
        char words[80], name[16];

        snprintf(name, sizeof(name), "name-%d", i);
        snprintf(words, sizeof(words), "[3 'hello' 1 {3 'name' '%s' 'abi' 2 'version' ''", name);
        close(greet(f, words));
        run_until_away(f, name);
    }
    assert_non_null(link_host_find_driver(f->host, "sim"));
}

struct outcome {
    bool there;
    int r;
    char text[64];
};

static void on_value(int r, const struct link_failure *failure, const struct sample_value *value, void *userdata)
{
    struct outcome *o = userdata;

    assert_false(o->there);
    *o = (struct outcome){.there = true, .r = r};
    if (failure)
        snprintf(o->text, sizeof(o->text), "%s %s", failure->name ?: "", failure->text);
    assert_int_equal(r >= 0, value != NULL);
}

static void test_calls(void **state)
{
    const struct sample_value value = {.type = SAMPLE_BOOL, .b = true};
    struct outcome outcome = {.there = false};
    struct bench *f = *state;
    int peer;

    assert_int_equal(link_host_write(f->host, "sim", "a", "p", &value, on_value, &outcome), -ENOTCONN);
    peer = greet(f, HELLO);
    assert_int_equal(link_host_write(f->host, "sim", "a", "no point", &value, on_value, &outcome), -EINVAL);
    assert_int_equal(link_host_write(f->host, "sim", "a", "p", &value, on_value, &outcome), 0);
    assert_string_equal(hear(f, peer), "write 1 a p true");
    say(peer, "[4 'answer' 1 13 'not\nwritable'");
    run_until(f, &outcome.there);
    assert_int_equal(outcome.r, -EACCES);
    assert_string_equal(outcome.text, ERROR_NOT_WRITABLE " not writable");
    outcome.there = false;
    assert_int_equal(link_host_read(f->host, "sim", "a", "p", on_value, &outcome), 0);
    assert_string_equal(hear(f, peer), "read 2 a p");
    say(peer, "[4 'answer' 2 0 1.5");
    run_until(f, &outcome.there);
    assert_int_equal(outcome.r, 0);
    /* one without an answer ends with its connection */
    outcome.there = false;
    assert_int_equal(link_host_read(f->host, "sim", "a", "p", on_value, &outcome), 0);
    close(peer);
    run_until(f, &outcome.there);
    assert_int_equal(outcome.r, -ENOTCONN);
    assert_false(link_driver_connected(f->driver));
}

/* A request never comes before the set of devices that it may be about. */
static void test_requests_behind_devices(void **state)
{
    const struct link_device more[] = {{"a", "{}", "{}"}, {"c", "{}", "{}"}};
    struct outcome outcome = {.there = false};
    struct bench *f = *state;
    int peer = greet(f, HELLO);

    assert_int_equal(link_host_set_devices(f->host, "sim", more, 2), 0);
    assert_int_equal(link_host_read(f->host, "sim", "c", "p", on_value, &outcome), 0);
    assert_string_equal(hear(f, peer), "begin 0");
    hear_until(f, peer, "end 0");
    assert_string_equal(hear(f, peer), "read 1 c p");
    close(peer);
    run_until(f, &outcome.there);
}

static void on_done(int r, const struct link_failure *failure, void *userdata)
{
    *(struct outcome *)userdata = (struct outcome){.there = true, .r = r};
}

/* A secret goes with its descriptor to the driver of that device, and nowhere else. */
static void test_secret(void **state)
{
    struct outcome outcome = {.there = false};
    struct bench *f = *state;
    int peer = greet(f, HELLO), pipes[2];
    char text[8] = "";

    assert_int_equal(pipe(pipes), 0); /* of abi 2 it would not be understood */
    assert_int_equal(link_host_secret(f->host, "sim", "a", pipes[0], "", on_done, &outcome), -EOPNOTSUPP);
    close(pipes[0]);
    close(pipes[1]);
    close(peer);
    run_until_away(f, "sim");
    peer = greet(f, HELLO_3);

    assert_int_equal(pipe(pipes), 0);
    assert_int_equal(write(pipes[1], "secret", 6), 6);
    assert_int_equal(link_host_secret(f->host, "sim", "z", pipes[0], "", on_done, &outcome), -ENODEV);
    assert_int_equal(link_host_secret(f->host, "other", "a", pipes[0], "", on_done, &outcome), -ENOTCONN);
    assert_int_equal(link_host_secret(f->host, "sim", "a", pipes[0], "17 4", on_done, &outcome), 0);
    close(pipes[0]);
    assert_string_equal(hear(f, peer), "secret 1 a 17 4");
    assert_int_equal(read(f->passed, text, sizeof(text)), 6);
    assert_string_equal(text, "secret");
    close(f->passed);
    close(pipes[1]);
    say(peer, "[4 'answer' 1 0 0");
    run_until(f, &outcome.there);
    assert_int_equal(outcome.r, 0);
    close(peer);
}

/* A driver that does not read: what waits for it is bounded, and it is not read either; it catches up later. */
static void test_deaf_driver(void **state)
{
    char *text = malloc(50000);
    const struct link_device device = {"a", "{}", text};
    struct outcome outcomes[LINK_CALLS_MAX] = {{.there = false}};
    struct bench *f = *state;
    int peer = greet(f, HELLO), r = 0;
    size_t n = 0, refused = 0;

    memset(text, 'x', 49999);
    text[49999] = 0;
    while (n < LINK_CALLS_MAX && r == 0) {
        r = link_host_check_config(f->host, "sim", &device, ignore_complaints, &outcomes[n]);
        n += r == 0;
    }
    assert_int_equal(r, -EBUSY);
    assert_in_range(n, 20, 40);
    for (int i = 0; i < 50; i++) {
        refused += send_words(peer, REPORT_A) < 0;
        assert_true(sd_event_run(f->event, 0) >= 0);
    }
    assert_int_equal(f->reports, 0);
    assert_int_equal(refused, 0);
    for (size_t i = 0; i < n; i++)
        assert_memory_equal(hear(f, peer), "check ", 6);
    hear_until(f, peer, "credit 7 4000");
    assert_true(f->reports > 0);
    close(peer);
    run_until_away(f, "sim");
    free(text);
}

/* Half a question would never be answered: it is queued whole, or refused. One alone may be larger than the bound. */
static void test_questions_are_whole(void **state)
{
    const size_t large = LINK_OUT_MAX + 300000, packets = large / LINK_TEXTS_MAX + 1;
    char *text = malloc(large + 1);
    const struct link_device device = {"a", "{}", text};
    struct outcome outcomes[2] = {{.there = false}};
    struct bench *f = *state;
    int peer = greet(f, HELLO);

    memset(text, 'x', large);
    text[large] = 0;
    assert_int_equal(link_host_check_config(f->host, "sim", &device, ignore_complaints, &outcomes[0]), 0);
    text[large / 2] = 0;
    assert_int_equal(link_host_check_config(f->host, "sim", &device, ignore_complaints, &outcomes[1]), -EBUSY);
    for (size_t i = 0; i < packets; i++)
        assert_memory_equal(hear(f, peer), "check ", 6);
    assert_int_equal(link_host_quit(f->host, "sim"), 0);
    assert_memory_equal(hear(f, peer), "quit", 4);
    close(peer);
    run_until_away(f, "sim");
    free(text);
}

/* What a driver said before it closed still counts, also where it did not read what it was sent. */
static void test_last_words(void **state)
{
    struct bench *f = *state;

    for (int unread = 0; unread < 2; unread++) {
        int peer = greet(f, HELLO);

        if (unread)
            assert_int_equal(link_host_quit(f->host, "sim"), 0);
        f->reports = f->states = 0;
        for (int i = 0; i < 3; i++)
            say(peer, REPORT_A);
        say(peer, unread ? "[5 'state' 1 'a' 'closed' 'it stops'" : "[5 'state' 1 'a' 'failed' 'it stops'");
        close(peer);
        run_until_away(f, "sim");
        assert_int_equal(f->reports, 3);
        assert_int_equal(f->states, 1);
    }
}

static void test_devices_refused(void **state)
{
    const struct link_device twice[] = {{"a", "{}", "{}"}, {"b", "{}", "{}"}, {"a", "{}", "{}"}};
    const struct link_device bad = {"a/b", "{}", "{}"};
    struct bench *f = *state;

    assert_int_equal(link_host_set_devices(f->host, "sim", twice, 3), -EINVAL);
    assert_int_equal(link_host_set_devices(f->host, "sim", &bad, 1), -EINVAL);
    assert_int_equal(link_host_set_devices(f->host, "s m", twice, 2), -EINVAL);
    assert_int_equal(link_host_set_devices(f->host, "sim", NULL, 0), 0);
    assert_null(link_host_find_driver(f->host, "sim"));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, bench_setup, bench_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_hello_and_devices),
        TEST(test_large_sets),
        TEST(test_breaches),
        TEST(test_no_other),
        TEST(test_descriptors_and_size),
        TEST(test_reports),
        TEST(test_held_reports),
        TEST(test_rate),
        TEST(test_too_many_samples),
        TEST(test_too_many_connections),
        TEST(test_states),
        TEST(test_state_storm),
        TEST(test_second_connection_replaces_the_first),
        TEST(test_unknown_uid),
        TEST(test_names_without_devices_are_freed),
        TEST(test_calls),
        TEST(test_requests_behind_devices),
        TEST(test_secret),
        TEST(test_deaf_driver),
        TEST(test_questions_are_whole),
        TEST(test_last_words),
        TEST(test_devices_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
