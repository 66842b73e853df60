/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "link/client.h"

#include "base/clock.h"
#include "base/json.h"
#include "base/limits.h"
#include "base/names.h"
#include "link/client-internal.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>

/* A Report without its answer. */
struct flight {
    TAILQ_ENTRY(flight) link;
    struct link_client *client;
    struct link_queue_batch batch;
    sd_bus_slot *slot;
};
TAILQ_HEAD(flight_list, flight);

struct link_client {
    sd_event *event;
    const struct link_client_ops *ops;
    void *userdata;
    char *name, *version;
    struct sockaddr_un address;
    sd_bus *bus;
    bool accepted; /* Hello was answered */
    uint64_t backoff;
    sd_event_source *connect_timer, *flush_source, *busy_timer;
    struct link_queue *queue;
    struct flight_list flights;
    size_t n_flights, samples_in_flight;
    size_t available; /* credits left */
    size_t report_max;
    bool busy; /* the agent asked for a pause */
    uint64_t refused;
};

static void disconnect(struct link_client *c, int r, const char *reason);

static int schedule_flush(struct link_client *c)
{
    return sd_event_source_set_enabled(c->flush_source, SD_EVENT_ONESHOT);
}

static void flight_end(struct flight *f)
{
    struct link_client *c = f->client;

    TAILQ_REMOVE(&c->flights, f, link);
    c->n_flights--;
    c->samples_in_flight -= f->batch.n;
}

static void flight_free(struct flight *f)
{
    sd_bus_slot_unref(f->slot);
    free(f);
}

static int pause_reports(struct link_client *c)
{
    int r = sd_event_source_set_time(c->busy_timer, clock_boottime() + LINK_RETRY_BUSY);

    if (r >= 0)
        r = sd_event_source_set_enabled(c->busy_timer, SD_EVENT_ONESHOT);
    c->busy = r >= 0;
    return r;
}

static int on_busy_over(sd_event_source *source, uint64_t usec, void *userdata)
{
    struct link_client *c = userdata;

    c->busy = false;
    return schedule_flush(c);
}

static int on_answer(sd_bus_message *m, void *userdata, sd_bus_error *error)
{
    struct flight *f = userdata;
    struct link_client *c = f->client;
    uint32_t credits;
    int r;

    /* The connection broke: sd-bus ends the calls one by one, but they are to go back in their order. */
    if (!sd_bus_is_open(c->bus)) {
        disconnect(c, -ENOTCONN, "the agent closed the connection");
        return 1;
    }
    r = sd_bus_message_is_method_error(m, NULL) ? wire_error_errno(sd_bus_message_get_error(m))
                                                : sd_bus_message_read(m, "u", &credits);
    flight_end(f);
    if (r >= 0) {
        /* What is still under way may not have been there when the agent counted. */
        c->available = credits > c->samples_in_flight ? credits - c->samples_in_flight : 0;
        link_queue_batch_done(&f->batch);
    } else if (r == -EINVAL || r == -ENODEV) {
        c->refused += f->batch.n;
        link_queue_batch_done(&f->batch);
    } else {
        link_queue_batch_back(c->queue, &f->batch);
        r = pause_reports(c);
    }
    flight_free(f);
    return r < 0 ? r : schedule_flush(c);
}

static int send_batch(struct link_client *c, struct flight *f)
{
    /* One message needs its samples in a row. */
    _cleanup_free_ struct sample *samples = malloc(f->batch.n * sizeof(*samples));
    _cleanup_(sd_bus_message_unrefp) sd_bus_message *m = NULL;
    struct queued *s;
    size_t n = 0;
    int r;

    if (!samples)
        return -ENOMEM;
    TAILQ_FOREACH(s, &f->batch.samples, by_device)
    samples[n++] = s->sample;
    r = sd_bus_message_new_method_call(c->bus, &m, NULL, LINK_PATH, LINK_INTERFACE_HOST, "Report");
    if (r >= 0)
        r = sd_bus_message_append_basic(m, 's', TAILQ_FIRST(&f->batch.samples)->device);
    if (r >= 0)
        r = wire_append_samples(m, samples, n);
    return r < 0 ? r : sd_bus_call_async(c->bus, &f->slot, m, on_answer, f, UINT64_MAX);
}

/* Sends one Report. 1: there may be more to send; 0: nothing, or not now. */
static int send_next(struct link_client *c)
{
    /* After a refusal nobody is left who would bring credits: one sample asks for them. */
    size_t allowed = c->n_flights == 0 && c->available == 0 ? 1 : MIN_OF(c->available, c->report_max);
    struct flight *f;
    int r;

    if (!c->accepted || c->busy || c->n_flights >= LINK_REPORTS_IN_FLIGHT || allowed == 0 ||
        link_queue_length(c->queue) == 0)
        return 0;
    f = calloc(1, sizeof(*f));
    if (!f)
        return pause_reports(c);
    f->client = c;
    if (!link_queue_take(c->queue, allowed, &f->batch)) {
        free(f);
        return 0;
    }
    r = send_batch(c, f);
    if (r < 0) {
        link_queue_batch_back(c->queue, &f->batch);
        free(f);
        return r == -ENOMEM ? pause_reports(c) : r;
    }
    TAILQ_INSERT_TAIL(&c->flights, f, link);
    c->n_flights++;
    c->samples_in_flight += f->batch.n;
    c->available -= MIN_OF(c->available, f->batch.n);
    return 1;
}

static int on_flush(sd_event_source *source, void *userdata)
{
    struct link_client *c = userdata;
    int r;

    do
        r = send_next(c);
    while (r > 0);
    if (r < 0)
        disconnect(c, r, strerror(-r));
    return 0;
}

void link_client_push(struct link_client *c, struct queued *sample)
{
    link_queue_push(c->queue, sample);
    (void)schedule_flush(c);
}

int link_client_device_state(struct link_client *c, const char *device, const char *state, const char *reason)
{
    _cleanup_(sd_bus_message_unrefp) sd_bus_message *m = NULL;
    int r;

    if (!c->accepted)
        return -ENOTCONN;
    r = sd_bus_message_new_method_call(c->bus, &m, NULL, LINK_PATH, LINK_INTERFACE_HOST, "DeviceState");
    if (r >= 0)
        r = sd_bus_message_set_expect_reply(m, 0);
    if (r >= 0)
        r = sd_bus_message_append(m, "sss", device, state, reason);
    return r < 0 ? r : sd_bus_send(c->bus, m, NULL);
}

static void reconnect_later(struct link_client *c)
{
    (void)sd_event_source_set_time(c->connect_timer, clock_boottime() + c->backoff);
    (void)sd_event_source_set_enabled(c->connect_timer, SD_EVENT_ONESHOT);
    c->backoff = MIN_OF(c->backoff * 2, LINK_RECONNECT_MAX);
}

static void disconnect(struct link_client *c, int r, const char *reason)
{
    struct flight *f;

    if (!c->bus)
        return;
    /* The newest first: each goes to the front, and the oldest is to end up there. */
    while ((f = TAILQ_LAST(&c->flights, flight_list))) {
        flight_end(f);
        link_queue_batch_back(c->queue, &f->batch);
        flight_free(f);
    }
    c->accepted = false;
    c->available = 0;
    sd_bus_close(c->bus);
    c->bus = sd_bus_unref(c->bus);
    reconnect_later(c);
    c->ops->connection(r, reason, c->userdata);
}

static int on_disconnected(sd_bus_message *m, void *userdata, sd_bus_error *error)
{
    disconnect(userdata, -ENOTCONN, "the agent closed the connection");
    return 1;
}

static int read_hello(struct link_client *c, sd_bus_message *m)
{
    _cleanup_json_ json_object *limits = NULL;
    json_object *o;
    int r = wire_read_dict(m, &limits);

    if (r < 0)
        return r;
    if (json_object_object_get_ex(limits, "credits", &o))
        c->available = (size_t)MAX_OF(json_object_get_int64(o), INT64_C(0));
    if (json_object_object_get_ex(limits, "report-samples", &o))
        c->report_max = (size_t)MIN_OF(MAX_OF(json_object_get_int64(o), INT64_C(1)), (int64_t)LINK_REPORT_MAX);
    return 0;
}

static int on_hello_answer(sd_bus_message *m, void *userdata, sd_bus_error *error)
{
    const sd_bus_error *e = sd_bus_message_get_error(m);
    struct link_client *c = userdata;
    int r;

    if (sd_bus_message_is_method_error(m, NULL)) {
        disconnect(c, wire_error_errno(e), e->message ?: e->name);
        return 1;
    }
    r = read_hello(c, m);
    if (r < 0) {
        disconnect(c, r, "the agent's answer to Hello is malformed");
        return 1;
    }
    c->accepted = true;
    c->backoff = LINK_RECONNECT_MIN;
    c->ops->connection(0, NULL, c->userdata);
    return schedule_flush(c);
}

static int say_hello(struct link_client *c)
{
    _cleanup_(sd_bus_message_unrefp) sd_bus_message *m = NULL;
    int r = sd_bus_message_new_method_call(c->bus, &m, NULL, LINK_PATH, LINK_INTERFACE_HOST, "Hello");

    if (r >= 0)
        r = sd_bus_message_append(m, "sua{sv}", c->name, (uint32_t)LINK_ABI, 1, "version", "s", c->version);
    return r < 0 ? r : sd_bus_call_async(c->bus, NULL, m, on_hello_answer, c, LINK_HELLO_TIMEOUT);
}

static int open_socket(struct link_client *c)
{
    _cleanup_close_ int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

    if (fd < 0)
        return -errno;
    if (connect(fd, (const struct sockaddr *)&c->address, sizeof(c->address)) < 0)
        return -errno;
    return TAKE_FD(fd);
}

static int start_bus(struct link_client *c)
{
    _cleanup_close_ int fd = open_socket(c);
    int r = fd < 0 ? fd : sd_bus_new(&c->bus);

    if (r >= 0)
        r = sd_bus_set_fd(c->bus, fd, fd);
    if (r < 0)
        return r;
    TAKE_FD(fd);
    r = sd_bus_match_signal(c->bus, NULL, "org.freedesktop.DBus.Local", "/org/freedesktop/DBus/Local",
                            "org.freedesktop.DBus.Local", "Disconnected", on_disconnected, c);
    if (r >= 0)
        r = client_add_methods(c->bus, c);
    if (r >= 0)
        r = sd_bus_start(c->bus);
    if (r >= 0)
        r = sd_bus_attach_event(c->bus, c->event, SD_EVENT_PRIORITY_NORMAL);
    return r < 0 ? r : say_hello(c);
}

static int on_connect(sd_event_source *source, uint64_t usec, void *userdata)
{
    struct link_client *c = userdata;
    int r = start_bus(c);

    if (r >= 0)
        return 0;
    if (c->bus) {
        sd_bus_close(c->bus);
        c->bus = sd_bus_unref(c->bus);
    }
    reconnect_later(c);
    c->ops->connection(r, strerror(-r), c->userdata);
    return 0;
}

static int add_sources(struct link_client *c)
{
    int r = sd_event_add_time(c->event, &c->connect_timer, CLOCK_BOOTTIME, 0, USEC_PER_MSEC, on_connect, c);

    if (r >= 0)
        r = sd_event_add_time(c->event, &c->busy_timer, CLOCK_BOOTTIME, 0, USEC_PER_MSEC, on_busy_over, c);
    if (r >= 0)
        r = sd_event_source_set_enabled(c->busy_timer, SD_EVENT_OFF);
    if (r >= 0)
        r = sd_event_add_defer(c->event, &c->flush_source, on_flush, c);
    if (r >= 0)
        r = sd_event_source_set_enabled(c->flush_source, SD_EVENT_OFF);
    /* After all that may push. */
    if (r >= 0)
        r = sd_event_source_set_priority(c->flush_source, SD_EVENT_PRIORITY_NORMAL + 10);
    return r;
}

int link_client_new(sd_event *event, const struct link_client_options *options, const struct link_client_ops *ops,
                    void *userdata, struct link_client **ret, struct error *e)
{
    _cleanup_(link_client_freep) struct link_client *c = calloc(1, sizeof(*c));
    int n, r;

    if (!c)
        return -ENOMEM;
    TAILQ_INIT(&c->flights);
    c->event = sd_event_ref(event);
    c->ops = ops;
    c->userdata = userdata;
    c->backoff = LINK_RECONNECT_MIN;
    c->report_max = LINK_REPORT_MAX;
    c->address.sun_family = AF_UNIX;
    n = snprintf(c->address.sun_path, sizeof(c->address.sun_path), "%s/%s", options->runtime_dir, LINK_SOCKET);
    if (n >= (int)sizeof(c->address.sun_path))
        return error_set(e, -ENAMETOOLONG,
                         "%s/%s: a socket's path has at most %zu characters; use a shorter --runtime-dir",
                         options->runtime_dir, LINK_SOCKET, sizeof(c->address.sun_path) - 1);
    c->name = strdup(options->name);
    c->version = strdup(options->version);
    if (!c->name || !c->version)
        return -ENOMEM;
    r = link_queue_new(DRIVER_QUEUE_MAX, &c->queue);
    if (r >= 0)
        r = add_sources(c);
    if (r < 0)
        return r;
    *ret = TAKE_PTR(c);
    return 0;
}

struct link_client *link_client_free(struct link_client *c)
{
    struct flight *f;

    if (!c)
        return NULL;
    while ((f = TAILQ_FIRST(&c->flights))) {
        flight_end(f);
        link_queue_batch_done(&f->batch);
        flight_free(f);
    }
    sd_bus_close_unref(c->bus);
    sd_event_source_disable_unref(c->connect_timer);
    sd_event_source_disable_unref(c->busy_timer);
    sd_event_source_disable_unref(c->flush_source);
    link_queue_free(c->queue);
    sd_event_unref(c->event);
    free(c->name);
    free(c->version);
    free(c);
    return NULL;
}

const struct link_client_ops *client_ops(struct link_client *c, void **ret_userdata)
{
    *ret_userdata = c->userdata;
    return c->ops;
}

uint64_t link_client_dropped(const struct link_client *c)
{
    return link_queue_dropped(c->queue);
}

uint64_t link_client_refused(const struct link_client *c)
{
    return c->refused;
}

size_t link_client_pending(const struct link_client *c)
{
    return link_queue_length(c->queue) + c->samples_in_flight;
}
