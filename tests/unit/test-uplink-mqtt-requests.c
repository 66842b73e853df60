/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "base/limits.h"
#include "base/log.h"
#include "uplink/mqtt-session.h"

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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_in_order, setup, teardown),
        cmocka_unit_test_setup_teardown(test_old_filter, setup, teardown),
        cmocka_unit_test_setup_teardown(test_topics_count, setup, teardown),
        cmocka_unit_test_setup_teardown(test_too_large, setup, teardown),
        cmocka_unit_test_setup_teardown(test_lost_with_session, setup, teardown),
    };

    log_init("test", LOG_INFO);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
