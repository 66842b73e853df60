/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "base/clock.h"
#include "base/id.h"
#include "base/json.h"
#include "base/log.h"
#include "base/names.h"
#include "base/text.h"
#include "link/host-internal.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <systemd/sd-id128.h>

struct conn *conn_ref(struct conn *c)
{
    c->refs++;
    return c;
}

struct conn *conn_unref(struct conn *c)
{
    if (c && --c->refs == 0)
        free(c);
    return NULL;
}

static struct link_report *report_free(struct link_report *report)
{
    sd_bus_message_unref(report->message);
    conn_unref(report->conn);
    free(report);
    return NULL;
}

void conn_close(struct conn *c, const char *reason)
{
    struct link_host *h = c->host;
    struct link_driver *d = c->driver;
    struct link_report *report;

    if (!h)
        return;
    conn_ref(c);
    c->host = NULL;
    LIST_REMOVE(c, link);
    if (!d)
        h->n_strangers--;
    peer_names_cancel(h->names, c);
    conn_end_calls(c, h->ops->report ? -ENOTCONN : -ECANCELED, reason ?: "the driver went away");
    while ((report = TAILQ_FIRST(&c->held))) {
        TAILQ_REMOVE(&c->held, report, link);
        report_free(report);
    }
    sd_event_source_disable_unref(c->hello_timer);
    sd_event_source_disable_unref(c->held_timer);
    sd_bus_close(c->bus);
    c->bus = sd_bus_unref(c->bus);
    c->guard = guard_free(c->guard);
    c->fd = safe_close(c->fd);
    conn_unref(c); /* the host's */
    if (d && d->conn == c) {
        d->conn = NULL;
        snprintf(d->last_error, sizeof(d->last_error), "%s", reason ?: "the driver went away");
        if (h->ops->driver_changed)
            h->ops->driver_changed(d, h->userdata);
        host_driver_forget(d);
    }
    conn_unref(c);
}

/* Drops a message: counted, answered if the caller wants to know, and logged at a bounded rate. Always negative or
 * positive: 0 would mean to sd-bus, and to whoever checks before acting, that nobody has dealt with the message. */
static int refuse(struct conn *c, sd_bus_message *m, int r, const char *format, ...)
    __attribute__((format(printf, 4, 5)));
static int refuse(struct conn *c, sd_bus_message *m, int r, const char *format, ...)
{
    char text[ERROR_TEXT_MAX];
    va_list ap;

    va_start(ap, format);
    vsnprintf(text, sizeof(text), format, ap);
    va_end(ap);
    if (c->driver) {
        c->driver->counts.refused++;
        log_limited(&c->driver->complaints, LOG_WARNING, NULL, "driver %s: refused %s: %s", c->driver->name,
                    sd_bus_message_get_member(m), text);
    } else if (c->host)
        host_stranger(c->host, "refused %s: %s", sd_bus_message_get_member(m), text);
    r = wire_reply_error(m, r, text);
    return r == 0 ? 1 : r; /* 0: the call was marked as one that expects no answer */
}

/* What a peer says may be printed only in the shape that it should have. */
static const char *id_shown(const char *id)
{
    return id_valid(id) ? id : "(no valid id)";
}

void host_clean(char *text)
{
    text_trim(text);
    for (; *text; text++)
        if ((unsigned char)*text < 0x20 || *text == 0x7f)
            *text = ' ';
}

static uint64_t rate_tokens(struct ratelimit *l)
{
    (void)ratelimit_next(l, clock_boottime(), 0); /* lets flow in what is due */
    return l->tokens_us * l->burst / l->interval;
}

static uint32_t credits(struct conn *c)
{
    uint64_t window = LINK_CREDITS - MIN_OF(c->unanswered, (size_t)LINK_CREDITS);

    return (uint32_t)MIN_OF(window, rate_tokens(&c->driver->samples));
}

static void answer(struct link_report *report)
{
    (void)sd_bus_reply_method_return(report->message, "u", credits(report->conn));
    report_free(report);
}

static int hold(struct conn *c, struct link_report *report)
{
    uint64_t when = ratelimit_next(&c->driver->samples, clock_boottime(), LINK_CREDITS_MIN);
    int r = sd_event_source_set_time(c->held_timer, when);

    if (r >= 0)
        r = sd_event_source_set_enabled(c->held_timer, SD_EVENT_ONESHOT);
    if (r >= 0)
        TAILQ_INSERT_TAIL(&c->held, report, link);
    return r;
}

static int on_held(sd_event_source *source, uint64_t usec, void *userdata)
{
    _cleanup_(conn_unrefp) struct conn *c = conn_ref(userdata);
    struct link_report *report;

    while (c->host && (report = TAILQ_FIRST(&c->held))) {
        TAILQ_REMOVE(&c->held, report, link);
        answer(report);
    }
    return 0;
}

void link_report_done(struct link_report *report, int r)
{
    struct conn *c = report->conn;

    c->unanswered -= report->n;
    if (!c->host) {
        report_free(report);
        return;
    }
    if (r < 0) {
        (void)wire_reply_error(report->message, r == -EINVAL || r == -ENODEV ? r : -EBUSY, strerror(-r));
        report_free(report);
        return;
    }
    /* An answer without credits would leave the driver with nothing to wait for. */
    if (rate_tokens(&c->driver->samples) < LINK_CREDITS_MIN && hold(c, report) >= 0)
        return;
    answer(report);
}

static int report_new(struct conn *c, sd_bus_message *m, size_t n, struct link_report **ret)
{
    struct link_report *report = calloc(1, sizeof(*report));

    if (!report)
        return -ENOMEM;
    report->conn = conn_ref(c);
    report->message = sd_bus_message_ref(m);
    report->n = n;
    *ret = report;
    return 0;
}

static int on_report(sd_bus_message *m, void *userdata, sd_bus_error *error)
{
    _cleanup_(conn_unrefp) struct conn *c = conn_ref(userdata);
    struct link_report *report;
    struct link_driver *d = c->driver;
    const char *device;
    int r, n;

    if (!d)
        return refuse(c, m, -EINVAL, "it comes before Hello");
    r = sd_bus_message_read(m, "s", &device);
    n = r < 0 ? r : wire_read_samples(m, c->host->samples, LINK_REPORT_MAX);
    if (n == -E2BIG)
        return refuse(c, m, -EINVAL, "more than %d samples in one report", LINK_REPORT_MAX);
    if (n < 0)
        return refuse(c, m, -EINVAL, "a point, value, unit or flag that is not allowed");
    if (!host_device_find(d, device))
        return refuse(c, m, -ENODEV, "the device %s is not one of this driver's", id_shown(device));
    if (c->unanswered + (size_t)n > LINK_CREDITS || !ratelimit_take(&d->samples, clock_boottime(), (uint64_t)n))
        return refuse(c, m, -EBUSY, "more samples than it had credits for");
    r = report_new(c, m, (size_t)n, &report);
    if (r < 0)
        return r;
    d->counts.reports++;
    d->counts.samples += (uint64_t)n;
    c->unanswered += (size_t)n;
    if (n == 0)
        link_report_done(report, 0);
    else
        c->host->ops->report(d, report, device, c->host->samples, (size_t)n, c->host->userdata);
    return 1;
}

static const char *const device_state_names[] = {
    [DEVICE_STATE_OK] = "ok",
    [DEVICE_STATE_DEGRADED] = "degraded",
    [DEVICE_STATE_FAILED] = "failed",
    [DEVICE_STATE_CLOSED] = "closed",
};

static enum device_state device_state_parse(const char *name)
{
    for (size_t i = DEVICE_STATE_OK; i < ELEMENTSOF(device_state_names); i++)
        if (strcmp(device_state_names[i], name) == 0)
            return (enum device_state)i;
    return DEVICE_STATE_UNKNOWN;
}

static int on_device_state(sd_bus_message *m, void *userdata, sd_bus_error *error)
{
    _cleanup_(conn_unrefp) struct conn *c = conn_ref(userdata);
    const char *id, *name, *reason;
    struct host_device *device;
    enum device_state state;
    char *copy;
    int r;

    if (!c->driver)
        return refuse(c, m, -EINVAL, "it comes before Hello");
    r = sd_bus_message_read(m, "sss", &id, &name, &reason);
    if (r < 0)
        return r;
    device = host_device_find(c->driver, id);
    if (!device)
        return refuse(c, m, -ENODEV, "the device %s is not one of this driver's", id_shown(id));
    state = device_state_parse(name);
    if (state == DEVICE_STATE_UNKNOWN || strlen(reason) >= ERROR_TEXT_MAX)
        return refuse(c, m, -EINVAL, "no such state, or too long a reason");
    if (device->state != state || strcmp(device->reason ?: "", reason) != 0) {
        copy = strdup(reason);
        if (!copy)
            return -ENOMEM;
        host_clean(copy);
        free(device->reason);
        device->reason = copy;
        device->state = state;
        if (c->host->ops->device_state)
            c->host->ops->device_state(c->driver, id, name, copy, c->host->userdata);
    }
    return sd_bus_reply_method_return(m, "");
}

/* What it may be called: its uid's word, or its own where the uid is ours. */
static int check_name(struct conn *c, sd_bus_message *m, const char *name, uint32_t abi)
{
    if (c->driver)
        return refuse(c, m, -EINVAL, "it was said already");
    if (abi != LINK_ABI)
        return refuse(c, m, -EINVAL, "the driver speaks version %u of the private bus, this agent version %u", abi,
                      LINK_ABI);
    if (!id_valid(name))
        return refuse(c, m, -EINVAL, "a driver's name is " ID_RULE);
    if (!c->self_naming && strcmp(name, c->name) != 0)
        return refuse(c, m, -EACCES, "the user " DRIVER_USER_PREFIX "%s is not the driver %s", c->name, name);
    return 0;
}

static int read_hello_options(sd_bus_message *m, char *version, size_t size)
{
    _cleanup_json_ json_object *options = NULL;
    int r = wire_read_dict(m, &options);

    if (r < 0)
        return r;
    json_object_object_foreach (options, key, value) {
        if (strcmp(key, "version") != 0 || !json_object_is_type(value, json_type_string))
            return -EINVAL;
        if (strlen(json_object_get_string(value)) >= size)
            return -EINVAL;
        snprintf(version, size, "%s", json_object_get_string(value));
        host_clean(version);
    }
    return 0;
}

static int reply_hello(struct conn *c, sd_bus_message *m)
{
    return sd_bus_reply_method_return(
        m, "a{sv}", 6, "credits", "u", credits(c), "samples-per-second", "u", (uint32_t)LINK_SAMPLES_PER_SEC,
        "bytes-per-second", "u", (uint32_t)LINK_BYTES_PER_SEC, "report-samples", "u", (uint32_t)LINK_REPORT_MAX,
        "message-bytes", "u", (uint32_t)LINK_FRAME_MAX, "devices", "u", (uint32_t)LINK_DEVICES_MAX);
}

/* c becomes the connection of d. */
static int take_over(struct conn *c, struct link_driver *d, const char *version, sd_bus_message *m)
{
    struct link_host *h = c->host;
    struct conn *before = d->conn;
    int r;

    c->driver = d;
    d->conn = c; /* first: a driver without connection and devices is forgotten */
    h->n_strangers--;
    if (before)
        conn_close(before, "another connection of the same driver took its place");
    sd_event_source_set_enabled(c->hello_timer, SD_EVENT_OFF);
    snprintf(d->version, sizeof(d->version), "%s", version);
    d->counts.connections++;
    d->last_error[0] = 0; /* of the connection before */
    for (size_t i = 0; i < d->n_devices; i++)
        d->devices[i].state = DEVICE_STATE_UNKNOWN;
    r = reply_hello(c, m);
    if (r >= 0)
        r = conn_send_devices(c);
    if (r < 0)
        return r;
    if (h->ops->driver_changed)
        h->ops->driver_changed(d, h->userdata);
    return 1;
}

static int on_hello(sd_bus_message *m, void *userdata, sd_bus_error *error)
{
    _cleanup_(conn_unrefp) struct conn *c = conn_ref(userdata);
    char version[DEVICE_ID_MAX + 1] = "";
    struct link_driver *d;
    const char *name;
    uint32_t abi;
    int r = sd_bus_message_read(m, "su", &name, &abi);

    if (r < 0)
        return r;
    r = check_name(c, m, name, abi);
    if (r != 0)
        return r;
    if (read_hello_options(m, version, sizeof(version)) < 0)
        return refuse(c, m, -EINVAL, "an option that is not known");
    d = host_driver_get(c->host, name);
    if (!d)
        return refuse(c, m, -EBUSY, "there are %d drivers already", LINK_DRIVERS_MAX);
    return take_over(c, d, version, m);
}

static const struct {
    const char *member, *signature;
} methods[] = {{"Hello", "sua{sv}"}, {"Report", "s" WIRE_SAMPLES}, {"DeviceState", "sss"}};

/* Sees every message first: what sd-bus would refuse by itself is to be counted as well. */
static int on_message(sd_bus_message *m, void *userdata, sd_bus_error *error)
{
    _cleanup_(conn_unrefp) struct conn *c = conn_ref(userdata);

    if (!sd_bus_message_is_method_call(m, NULL, NULL))
        return 0;
    for (size_t i = 0; i < ELEMENTSOF(methods); i++)
        if (sd_bus_message_is_method_call(m, LINK_INTERFACE_HOST, methods[i].member))
            return sd_bus_message_has_signature(m, methods[i].signature)
                       ? 0
                       : refuse(c, m, -EINVAL, "its signature is not %s", methods[i].signature);
    return refuse(c, m, -EOPNOTSUPP, "there is no such method");
}

static const sd_bus_vtable vtable[] = {
    SD_BUS_VTABLE_START(0),
    SD_BUS_METHOD("Hello", "sua{sv}", "a{sv}", on_hello, SD_BUS_VTABLE_UNPRIVILEGED),
    SD_BUS_METHOD("Report", "s" WIRE_SAMPLES, "u", on_report, SD_BUS_VTABLE_UNPRIVILEGED),
    SD_BUS_METHOD("DeviceState", "sss", "", on_device_state, SD_BUS_VTABLE_UNPRIVILEGED),
    SD_BUS_VTABLE_END,
};

static int on_devices_set(sd_bus_message *m, void *userdata, sd_bus_error *error)
{
    struct conn *c = userdata;

    if (sd_bus_message_is_method_error(m, NULL) && c->driver) {
        snprintf(c->driver->last_error, sizeof(c->driver->last_error), "it did not take its devices: %s",
                 sd_bus_message_get_error(m)->message ?: "no reason given");
        host_clean(c->driver->last_error);
    }
    return 1;
}

int conn_send_devices(struct conn *c)
{
    _cleanup_(sd_bus_message_unrefp) sd_bus_message *m = NULL;
    struct link_driver *d = c->driver;
    int r = sd_bus_message_new_method_call(c->bus, &m, NULL, LINK_PATH, LINK_INTERFACE_DRIVER, "SetDevices");

    if (r >= 0)
        r = sd_bus_message_open_container(m, 'a', "(sa{sv})");
    for (size_t i = 0; i < d->n_devices && r >= 0; i++)
        r = sd_bus_message_append(m, "(sa{sv})", d->devices[i].id, 2, "driver", "s", d->devices[i].section, "points",
                                  "s", d->devices[i].points);
    if (r >= 0)
        r = sd_bus_message_close_container(m);
    if (r >= 0)
        r = sd_bus_call_async(c->bus, NULL, m, on_devices_set, c, LINK_CALL_TIMEOUT);
    return r;
}

static void on_guard_closed(int r, const char *reason, void *userdata)
{
    _cleanup_(conn_unrefp) struct conn *c = conn_ref(userdata);
    struct link_host *h = c->host;
    char text[ERROR_TEXT_MAX];

    if (r < 0) {
        snprintf(text, sizeof(text), "connection closed: %s", reason);
        if (c->driver)
            log_limited(&c->driver->complaints, LOG_WARNING, NULL, "driver %s: %s", c->driver->name, text);
        else
            host_stranger(h, "%s", text);
        conn_close(c, text);
        return;
    }
    /* What it said before it went still counts. The bus holds no more than a socket's buffer of it. */
    while (c->bus && sd_bus_process(c->bus, NULL) > 0)
        ;
    conn_close(c, NULL);
}

/* Message for message in turns of its own, a driver of many devices would cost the loop a wait for each. */
static void on_guard_passed(void *userdata)
{
    _cleanup_(conn_unrefp) struct conn *c = conn_ref(userdata);

    for (unsigned i = 0; i < LINK_MESSAGES_PER_TURN && c->bus && sd_bus_process(c->bus, NULL) > 0; i++)
        ;
}

static int on_hello_timeout(sd_event_source *source, uint64_t usec, void *userdata)
{
    struct conn *c = userdata;

    host_stranger(c->host, "closed a connection that did not say Hello within %u s",
                  (unsigned)(LINK_HELLO_TIMEOUT / USEC_PER_SEC));
    conn_close(c, NULL);
    return 0;
}

static int start_bus(struct conn *c, int fd)
{
    sd_id128_t id;
    int r = sd_bus_new(&c->bus);

    if (r < 0) {
        safe_close(fd);
        return r;
    }
    r = sd_bus_set_fd(c->bus, fd, fd);
    if (r < 0) {
        safe_close(fd);
        return r;
    }
    r = sd_id128_randomize(&id);
    if (r >= 0)
        r = sd_bus_set_server(c->bus, 1, id);
    /* The uid was checked on the peer's own socket; the pair that sd-bus sees has ours at both ends. */
    if (r >= 0)
        r = sd_bus_set_anonymous(c->bus, 1);
    if (r >= 0)
        r = sd_bus_add_filter(c->bus, NULL, on_message, c);
    if (r >= 0)
        r = sd_bus_add_object_vtable(c->bus, NULL, LINK_PATH, LINK_INTERFACE_HOST, vtable, c);
    if (r >= 0)
        r = sd_bus_start(c->bus);
    return r < 0 ? r : sd_bus_attach_event(c->bus, c->host->event, SD_EVENT_PRIORITY_NORMAL);
}

int conn_start(struct conn *c)
{
    int fd, r = guard_new(c->host->event, TAKE_FD(c->fd), on_guard_closed, on_guard_passed, c, &c->guard, &fd);

    return r < 0 ? r : start_bus(c, fd);
}

int conn_new(struct link_host *h, int fd, struct conn **ret)
{
    _cleanup_free_ struct conn *c = calloc(1, sizeof(*c));
    int r;

    if (!c)
        return -ENOMEM;
    c->refs = 1;
    TAILQ_INIT(&c->held);
    r = sd_event_add_time(h->event, &c->hello_timer, CLOCK_BOOTTIME, clock_boottime() + LINK_HELLO_TIMEOUT, 0,
                          on_hello_timeout, c);
    if (r < 0)
        return r;
    r = sd_event_add_time(h->event, &c->held_timer, CLOCK_BOOTTIME, 0, USEC_PER_MSEC, on_held, c);
    if (r >= 0)
        r = sd_event_source_set_enabled(c->held_timer, SD_EVENT_OFF);
    if (r < 0) {
        sd_event_source_disable_unref(c->hello_timer);
        sd_event_source_disable_unref(c->held_timer);
        return r;
    }
    c->host = h;
    c->fd = fd;
    LIST_INSERT_HEAD(&h->conns, c, link);
    h->n_strangers++;
    *ret = TAKE_PTR(c);
    return 0;
}
