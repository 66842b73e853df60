/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "base/limits.h"
#include "base/log.h"
#include "uplink/mqtt-session.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#define MID 7 /* of an acknowledged SUBSCRIBE */

/* A session that the broker kept, without a connection, and what its one listener and the log got. */
struct fixture {
    struct uplink uplink;
    struct mqtt_session session;
    FILE *log;
    int stderr_fd;
    size_t n;
    char first[64], last[64];
};

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));

    assert_non_null(f);
    f->uplink.mqtt.session_expiry = USEC_PER_MINUTE;
    assert_true(sd_event_new(&f->uplink.event) >= 0);
    f->session.session.uplink = &f->uplink;
    f->session.session.label = (char *)"boiler-1";
    f->session.session.life = SESSION_KEPT;
    mqtt_requests_start(&f->session);
    f->log = tmpfile();
    assert_non_null(f->log);
    f->stderr_fd = dup(STDERR_FILENO);
    assert_true(f->stderr_fd >= 0 && dup2(fileno(f->log), STDERR_FILENO) >= 0);
    *state = f;
    return 0;
}

static void end(struct fixture *f)
{
    f->session.session.life = SESSION_STOPPED;
    mqtt_requests_stop(&f->session);
    assert_int_equal(f->session.n_early, 0);
    assert_int_equal(f->session.early_bytes, 0);
}

static int teardown(void **state)
{
    struct fixture *f = *state;

    end(f);
    sd_event_unref(f->uplink.event);
    assert_true(dup2(f->stderr_fd, STDERR_FILENO) >= 0);
    close(f->stderr_fd);
    (void)fclose(f->log);
    free(f);
    return 0;
}

/* How often it is in the log. */
static unsigned logged(const struct fixture *f, const char *words)
{
    char text[4096] = "";
    unsigned n = 0;

    assert_true(pread(fileno(f->log), text, sizeof(text) - 1, 0) >= 0);
    for (const char *p = text; (p = strstr(p, words)); p++)
        n++;
    return n;
}

static void on_message(int r, const struct uplink_response *response, void *userdata)
{
    struct fixture *f = userdata;

    snprintf(f->last, sizeof(f->last), "%.*s", (int)response->payload_size, (const char *)response->payload);
    if (f->n++ == 0)
        strcpy(f->first, f->last);
}

static void listen_to(struct fixture *f, const char *filter)
{
    struct uplink_subscription *subscription;

    assert_int_equal(mqtt_listen(&f->session.session, filter, -1, on_message, f, &subscription), 0);
    mqtt_requests_subscribed(&f->session, MID, 0, "");
}

static void arrives(struct fixture *f, const char *topic, unsigned number)
{
    char text[16];

    snprintf(text, sizeof(text), "%u", number);
    mqtt_requests_message(&f->session, topic, text, strlen(text));
}

static void test_in_order(void **state)
{
    struct fixture *f = *state;

    for (unsigned i = 0; i < MQTT_EARLY_MAX; i++)
        arrives(f, "device/command", i);
    listen_to(f, "other");
    assert_int_equal(f->n, 0);
    listen_to(f, "device/command");
    assert_int_equal(f->n, MQTT_EARLY_MAX);
    assert_string_equal(f->first, "0");
    assert_string_equal(f->last, "63");
    assert_int_equal(f->session.early_bytes, 0);
    end(f);
    assert_int_equal(logged(f, "lost"), 0);
}

/* Of a filter that an earlier configuration had: the broker goes on sending for it, and nobody subscribes any more. */
static void test_old_filter(void **state)
{
    struct fixture *f = *state;

    for (unsigned i = 0; i < MQTT_EARLY_MAX + 2; i++)
        arrives(f, "formerly/command", i);
    arrives(f, "device/command", 1);
    arrives(f, "device/command", 2);
    listen_to(f, "device/command");
    assert_int_equal(f->n, 2);
    assert_string_equal(f->first, "1");
    assert_int_equal(logged(f, "boiler-1: warning: a message that the broker kept is lost"),
                     1); /* and not four times */
    assert_int_equal(logged(f, "topic formerly/command"), 1);
}

/* A topic is of the broker's making, and as long as it likes. */
static void test_topics_count(void **state)
{
    static char topic[16 * 1024];
    struct fixture *f = *state;

    memset(topic, 'x', sizeof(topic) - 1);
    for (unsigned i = 0; i < MQTT_EARLY_MAX; i++)
        arrives(f, topic, i);
    assert_in_range(f->session.early_bytes, 1, MQTT_EARLY_BYTES_MAX);
    assert_in_range(f->session.n_early, 1, 4);
    assert_int_equal(logged(f, "topic (not shown)"), 1);
    listen_to(f, "#");
    assert_string_equal(f->last, "63");
    assert_int_equal(f->session.early_bytes, 0);
}

static void test_too_large(void **state)
{
    static const char payload[MQTT_EARLY_BYTES_MAX];
    struct fixture *f = *state;

    arrives(f, "device/command", 1);
    mqtt_requests_message(&f->session, "device/huge", payload, sizeof(payload));
    assert_int_equal(logged(f, "topic device/huge"), 1);
    listen_to(f, "#");
    assert_int_equal(f->n, 1);
}

static void test_lost_with_session(void **state)
{
    struct fixture *f = *state;

    for (unsigned i = 0; i < 3; i++)
        arrives(f, "device/command", i);
    end(f);
    assert_int_equal(logged(f, "boiler-1: warning: 3 messages that the broker kept are lost"), 1);
}

/* What an owner is told of a message that meets a DISCONNECT again and again. */
#define TOLD_NOTHING 1

struct told {
    unsigned n;
    int r;
    uint8_t code;
};

static void on_done(int r, const struct uplink_response *response, void *userdata)
{
    struct told *told = userdata;

    *told = (struct told){.n = told->n + 1, .r = r, .code = response ? response->code : 0};
}

/* Connections that end with this code while the message, alone in flight, is not acknowledged: after how many its owner
 * is told; `most` without a word to him ends it. */
static unsigned ends_until_told(struct fixture *f, uint8_t code, unsigned patience, unsigned most, struct told *ret)
{
    const struct uplink_request request = {.target = "device/telemetry",
                                           .payload = (const uint8_t *)"x",
                                           .payload_size = 1,
                                           .ends = patience,
                                           .divisible = true};
    struct mqtt_session *c = &f->session;
    unsigned n = 0;

    c->session.busy = 1; /* as within a callback: there is no timer to set */
    *ret = (struct told){.r = TOLD_NOTHING};
    assert_int_equal(mqtt_request(&c->session, &request, on_done, ret, NULL), 0);
    while (ret->n == 0 && n < most) {
        c->first->mid = MID;
        c->in_flight = 1;
        c->session.attempt.backoff.failures = 5;
        mqtt_requests_blamed(c, mqtt_disconnect_blames(code), code);
        mqtt_requests_lost(c);
        n++;
        assert_true(sd_event_run(f->uplink.event, 0) >= 0);
    }
    return n;
}

static void drop_call(struct fixture *f)
{
    if (f->session.first) {
        f->session.first->mid = 0;
        f->session.first->call.cancel(&f->session.first->call);
    }
    assert_null(f->session.first);
}

/* All codes that a DISCONNECT of a server may have, those that it may not, and those that do not exist. */
static void test_ends_with_the_same_message(void **state)
{
    static const struct {
        uint8_t first, last;
        unsigned ends; /* of at most 3 that are borne; 0: goes on for ever */
        int r;         /* 0: answered with the code */
        bool soon;     /* something else is sent without waiting as for a server that is away */
    } cases[] = {
        {0x80, 0x86, 3, -ECONNABORTED, true}, /* unspecified, malformed, ...; those of CONNACK alone */
        {0x87, 0x87, 1, 0, false},            /* not authorized */
        {0x88, 0x88, 3, -ECONNABORTED, true}, /* of CONNACK alone */
        {0x89, 0x89, 0, TOLD_NOTHING, false}, /* server busy */
        {0x8a, 0x8a, 3, -ECONNABORTED, true}, /* of CONNACK alone */
        {0x8b, 0x8b, 0, TOLD_NOTHING, false}, /* server shutting down */
        {0x8c, 0x8c, 3, -ECONNABORTED, true}, /* of CONNACK and AUTH alone */
        {0x8d, 0x8d, 3, -ETIMEDOUT, false},   /* keep alive timeout: never costs a sample */
        {0x8e, 0x8f, 0, TOLD_NOTHING, false}, /* session taken over, topic filter invalid */
        {0x90, 0x90, 1, 0, true},             /* topic name invalid */
        {0x91, 0x92, 3, -ECONNABORTED, true}, /* of PUBACK and PUBREL alone */
        {0x93, 0x93, 0, TOLD_NOTHING, false}, /* receive maximum exceeded: one by one from then on */
        {0x94, 0x94, 3, -ECONNABORTED, true}, /* topic alias invalid */
        {0x95, 0x95, 1, 0, true},             /* packet too large */
        {0x96, 0x98, 3, -ECONNABORTED, true}, /* message rate too high, quota exceeded, administrative action */
        {0x99, 0x9b, 1, 0, true},             /* payload format invalid, retain or QoS not supported */
        {0x9c, 0xa2, 0, TOLD_NOTHING, false}, /* another server, limits of connections, subscriptions */
        {0xa3, 0xff, 3, -ECONNABORTED, true}, /* reserved */
    };
    struct fixture *f = *state;
    unsigned expected = 0x80;

    for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
        assert_int_equal(cases[i].first, expected); /* none is left out */
        for (unsigned code = cases[i].first; code <= cases[i].last; code++) {
            struct told told;
            unsigned n = ends_until_told(f, (uint8_t)code, 3, 50, &told);
            bool soon = f->session.session.attempt.backoff.failures == 0;

            if (n != (cases[i].ends ?: 50) || told.r != cases[i].r || (told.r == 0 && told.code != code) ||
                (told.n > 0 && soon != cases[i].soon))
                fail_msg("0x%02x: told %d, code 0x%02x, after %u ends, soon %d", code, told.r, told.code, n, soon);
            drop_call(f);
        }
        expected = cases[i].last + 1;
    }
    assert_int_equal(expected, 0x100);
}

/* What may be a quota is not run against: the same message waits longer each time, and so does one that cannot be made
 * smaller. */
static void test_quota_is_waited_for(void **state)
{
    struct fixture *f = *state;
    struct mqtt_call *call;
    struct told told;

    for (unsigned code = 0x96; code <= 0x98; code++) {
        assert_int_equal(ends_until_told(f, (uint8_t)code, 3, 2, &told), 2);
        assert_int_equal(told.n, 0);
        assert_int_equal(f->session.session.attempt.backoff.failures, 5);
        call = f->session.first;
        assert_true(call->suspect); /* and nothing beside it is blamed */
        call->divisible = false;
        call->mid = MID;
        f->session.in_flight = 1;
        mqtt_requests_blamed(&f->session, mqtt_disconnect_blames((uint8_t)code), (uint8_t)code);
        mqtt_requests_lost(&f->session);
        assert_true(call->ended);
        assert_int_equal(f->session.session.attempt.backoff.failures, 5);
        drop_call(f);
        assert_int_equal(told.r, -ECANCELED);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_in_order, setup, teardown),
        cmocka_unit_test_setup_teardown(test_old_filter, setup, teardown),
        cmocka_unit_test_setup_teardown(test_topics_count, setup, teardown),
        cmocka_unit_test_setup_teardown(test_too_large, setup, teardown),
        cmocka_unit_test_setup_teardown(test_lost_with_session, setup, teardown),
        cmocka_unit_test_setup_teardown(test_ends_with_the_same_message, setup, teardown),
        cmocka_unit_test_setup_teardown(test_quota_is_waited_for, setup, teardown),
    };

    log_init("test", LOG_INFO);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
