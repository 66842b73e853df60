/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "base/clock.h"
#include "base/id.h"
#include "base/json.h"
#include "base/names.h"
#include "link/host-conn.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

/* A request to a driver, and its caller. */
struct call {
    struct dialog_request request; /* first */
    union {
        link_done_fn done;
        link_value_fn value;
        link_values_fn values;
        link_complaints_fn complaints;
        link_found_fn found;
    } done;
    void *userdata;
};

static const struct {
    int r;
    const char *name;
} error_names[] = {
    {-ENODEV, ERROR_NO_SUCH_DEVICE}, {-ENOENT, ERROR_NO_SUCH_POINT},
    {-EACCES, ERROR_NOT_WRITABLE},   {-EBUSY, ERROR_BUSY},
    {-ENOTCONN, ERROR_DRIVER_AWAY},  {-EINVAL, ERROR_INVALID_ARGUMENT},
};

static const char *error_name(int r)
{
    for (size_t i = 0; i < ELEMENTSOF(error_names); i++)
        if (error_names[i].r == r)
            return error_names[i].name;
    return NULL;
}

static struct call *call_of(struct dialog_request *q)
{
    return (struct call *)(void *)q;
}

/* Tells the caller, who may not be told twice. */
static void finish(struct call *call, const struct dialog_answer *a, const struct link_failure *failure)
{
    const struct sample_value *value = a->r < 0 ? NULL : a->values;
    size_t n = a->r < 0 ? 0 : a->n;

    switch (call->request.kind) {
    case PACKET_WRITE:
    case PACKET_READ:
        call->done.value(a->r, failure, value, call->userdata);
        break;
    case PACKET_WRITES:
    case PACKET_RAW:
        call->done.values(a->r, failure, value, n, call->userdata);
        break;
    case PACKET_CHECK:
        call->done.complaints(a->r, failure, a->complaints, n, call->userdata);
        break;
    case PACKET_SCAN:
    case PACKET_STATISTICS:
        call->done.found(a->r, failure, a->r < 0 ? NULL : a->found, call->userdata);
        break;
    case PACKET_SECRET:
        call->done.done(a->r, failure, call->userdata);
        break;
    case PACKET_QUIT:
    case PACKET_HELLO:
    case PACKET_REPORT:
    case PACKET_STATE:
    case PACKET_ANSWER:
    case PACKET_KEEP:
    case PACKET_WELCOME:
    case PACKET_CREDIT:
    case PACKET_BEGIN:
    case PACKET_DEVICE:
    case PACKET_END:
    case PACKET_BYE:
    case PACKET_KINDS:
        break;
    }
}

static void fail(struct call *call, int r, const char *words)
{
    const struct dialog_answer a = {.r = r};
    char text[ERROR_TEXT_MAX];
    const struct link_failure failure = {error_name(r), text};

    /* It will be logged: a driver may not write lines of ours. */
    snprintf(text, sizeof(text), "%s", words[0] ? words : strerrordesc_np(-r) ?: "an error without a name");
    host_clean(text);
    finish(call, &a, &failure);
}

/* It will be shown at terminals. */
static void clean_members(json_object *object)
{
    json_object_object_foreach (object, key, value) {
        _cleanup_free_ char *text =
            json_object_is_type(value, json_type_string) && key ? strdup(json_object_get_string(value)) : NULL;

        if (!text)
            continue;
        host_clean(text);
        if (strcmp(text, json_object_get_string(value)) != 0)
            json_object_set_string(value, text);
    }
}

void conn_answer(struct conn *c, struct dialog_answer *a)
{
    struct call *call = call_of(a->request);
    json_object *found = TAKE_PTR(a->found);
    struct dialog_answer answer = *a;

    answer.found = found;
    for (size_t i = 0; found && i < json_object_array_length(found); i++)
        clean_members(json_object_array_get_idx(found, i));
    if (!a->request->given_up && a->r < 0)
        fail(call, a->r, a->text);
    else if (!a->request->given_up)
        finish(call, &answer, NULL);
    json_object_put(found);
    free(call);
}

void conn_end_calls(struct conn *c, int r, const char *text)
{
    struct dialog_request *q;

    while ((q = dialog_end(&c->dialog))) {
        if (!q->given_up)
            fail(call_of(q), r, text);
        free(call_of(q));
    }
}

static void set_timer(struct conn *c)
{
    uint64_t next = dialog_next_deadline(&c->dialog);

    (void)sd_event_source_set_time(c->sources.call_timer, next);
    (void)sd_event_source_set_enabled(c->sources.call_timer, next == UINT64_MAX ? SD_EVENT_OFF : SD_EVENT_ONESHOT);
}

int conn_calls_overdue(sd_event_source *source, uint64_t usec, void *userdata)
{
    _cleanup_(conn_unrefp) struct conn *c = conn_ref(userdata);
    struct dialog_request *q;

    while (c->host && (q = dialog_overdue(&c->dialog, clock_boottime())))
        fail(call_of(q), -ETIMEDOUT, "the driver did not answer");
    if (c->host)
        set_timer(c);
    return 0;
}

/* A request under way to be written, in the host's buffer. */
struct question {
    struct conn *conn;
    struct call *call;
    struct cbor_writer w;
};

static int ask_begin(struct link_host *h, const char *driver, enum packet_kind kind, const struct call *model,
                     struct question *ret)
{
    const uint64_t timeout = kind == PACKET_SCAN ? LINK_SCAN_TIMEOUT : LINK_CALL_TIMEOUT;
    struct link_driver *d = link_host_find_driver(h, driver);
    struct call *call;
    int r;

    if (!d || !d->conn || !d->conn->welcomed)
        return -ENOTCONN;
    call = malloc(sizeof(*call));
    if (!call)
        return -ENOMEM;
    *call = *model;
    r = dialog_ask(&d->conn->dialog, &call->request, kind, clock_boottime() + timeout);
    if (r < 0) {
        free(call);
        return r;
    }
    *ret = (struct question){.conn = d->conn, .call = call};
    cbor_writer_init(&ret->w, h->out, LINK_PACKET_MAX);
    return 0;
}

static int ask_end(struct question *q, int r)
{
    if (r >= 0) {
        set_timer(q->conn);
        return 0;
    }
    dialog_unask(&q->conn->dialog, &q->call->request);
    free(q->call);
    return r;
}

static int send_question(struct question *q, int passed)
{
    bool room = conn_has_room(q->conn, cbor_written(&q->w));

    return ask_end(q, room ? conn_request(q->conn, &q->w, passed) : -EBUSY);
}

static void put_names(struct question *q, const char *device, const char *point, size_t more)
{
    packet_begin(&q->w, q->call->request.kind, q->call->request.serial, (point ? 2 : 1) + more);
    cbor_put_text(&q->w, device);
    if (point)
        cbor_put_text(&q->w, point);
}

int link_host_write(struct link_host *h, const char *driver, const char *device, const char *point,
                    const struct sample_value *value, link_value_fn done, void *userdata)
{
    const struct call model = {.done.value = done, .userdata = userdata};
    struct question q;
    int r;

    if (!id_valid(device) || !id_valid(point) || !sample_value_valid(value))
        return -EINVAL;
    r = ask_begin(h, driver, PACKET_WRITE, &model, &q);
    if (r < 0)
        return r;
    put_names(&q, device, point, 1);
    cbor_put_value(&q.w, value);
    return send_question(&q, -EBADF);
}

int link_host_write_points(struct link_host *h, const char *driver, const char *device,
                           const struct sample_write *writes, size_t n, link_values_fn done, void *userdata)
{
    const struct call model = {.done.values = done, .userdata = userdata};
    struct link_driver *d = link_host_find_driver(h, driver);
    struct question q;
    int r;

    if (!id_valid(device) || n == 0 || n > LINK_WRITES_MAX)
        return -EINVAL;
    for (size_t i = 0; i < n; i++)
        if (!id_valid(writes[i].point) || !sample_value_valid(&writes[i].value))
            return -EINVAL;
    if (d && d->conn && d->conn->welcomed && d->conn->dialog.abi < LINK_ABI_WRITES)
        return -EOPNOTSUPP;
    r = ask_begin(h, driver, PACKET_WRITES, &model, &q);
    if (r < 0)
        return r;
    put_names(&q, device, NULL, 1);
    cbor_put_array(&q.w, n);
    for (size_t i = 0; i < n; i++) {
        cbor_put_array(&q.w, 2);
        cbor_put_text(&q.w, writes[i].point);
        cbor_put_value(&q.w, &writes[i].value);
    }
    return send_question(&q, -EBADF);
}

int link_host_read(struct link_host *h, const char *driver, const char *device, const char *point, link_value_fn done,
                   void *userdata)
{
    const struct call model = {.done.value = done, .userdata = userdata};
    struct question q;
    int r;

    if (!id_valid(device) || !id_valid(point))
        return -EINVAL;
    r = ask_begin(h, driver, PACKET_READ, &model, &q);
    if (r < 0)
        return r;
    put_names(&q, device, point, 0);
    return send_question(&q, -EBADF);
}

/* As many packets as the texts take; the driver answers the last. All of them fit among what waits for the driver, or
 * none is sent: half a question would never be answered. */
int link_host_check_config(struct link_host *h, const char *driver, const struct link_device *device,
                           link_complaints_fn done, void *userdata)
{
    const struct call model = {.done.complaints = done, .userdata = userdata};
    struct question q;
    bool more = true;
    size_t at = 0;
    int r;

    if (!id_valid(device->id))
        return -EINVAL;
    r = ask_begin(h, driver, PACKET_CHECK, &model, &q);
    if (r < 0)
        return r;
    if (!conn_has_room(q.conn, packet_texts_size(device)))
        r = -EBUSY;
    while (r >= 0 && more) {
        cbor_writer_init(&q.w, h->out, LINK_PACKET_MAX);
        more = packet_put_texts(&q.w, PACKET_CHECK, q.call->request.serial, device, &at);
        r = conn_request(q.conn, &q.w, -EBADF);
    }
    return ask_end(&q, r);
}

static int ask_with_options(struct link_host *h, const char *driver, enum packet_kind kind, json_object *options,
                            const struct call *model)
{
    struct question q;
    int r = ask_begin(h, driver, kind, model, &q);

    if (r < 0)
        return r;
    packet_begin(&q.w, kind, q.call->request.serial, 1);
    packet_put_map(&q.w, options);
    return send_question(&q, -EBADF);
}

int link_host_scan(struct link_host *h, const char *driver, json_object *options, link_found_fn done, void *userdata)
{
    const struct call model = {.done.found = done, .userdata = userdata};

    return ask_with_options(h, driver, PACKET_SCAN, options, &model);
}

int link_host_read_raw(struct link_host *h, const char *driver, json_object *options, link_values_fn done,
                       void *userdata)
{
    const struct call model = {.done.values = done, .userdata = userdata};

    return ask_with_options(h, driver, PACKET_RAW, options, &model);
}

int link_host_secret(struct link_host *h, const char *driver, const char *device, int fd, const char *kept,
                     link_done_fn done, void *userdata)
{
    const struct call model = {.done.done = done, .userdata = userdata};
    struct link_driver *d = link_host_find_driver(h, driver);
    struct question q;
    int r;

    if (d && !host_device_find(d, device))
        return -ENODEV;
    if (d && d->conn && d->conn->welcomed && d->conn->dialog.abi < LINK_ABI_KEPT)
        return -EOPNOTSUPP;
    r = ask_begin(h, driver, PACKET_SECRET, &model, &q);
    if (r < 0)
        return r;
    put_names(&q, device, NULL, 1);
    cbor_put_text(&q.w, kept);
    return send_question(&q, fd);
}

int link_host_statistics(struct link_host *h, const char *driver, const char *device, link_found_fn done,
                         void *userdata)
{
    const struct call model = {.done.found = done, .userdata = userdata};
    struct link_driver *d = link_host_find_driver(h, driver);
    struct question q;
    int r;

    if (d && !host_device_find(d, device))
        return -ENODEV;
    if (d && d->conn && d->conn->dialog.abi < LINK_ABI_STATISTICS)
        return -EOPNOTSUPP;
    r = ask_begin(h, driver, PACKET_STATISTICS, &model, &q);
    if (r < 0)
        return r;
    put_names(&q, device, NULL, 0);
    return send_question(&q, -EBADF);
}

int link_host_quit(struct link_host *h, const char *driver)
{
    const struct call model = {.userdata = NULL};
    struct question q;
    int r = ask_begin(h, driver, PACKET_QUIT, &model, &q);

    if (r < 0)
        return r;
    packet_begin(&q.w, PACKET_QUIT, q.call->request.serial, 0);
    return send_question(&q, -EBADF);
}
