/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "base/id.h"
#include "base/json.h"
#include "base/limits.h"
#include "base/names.h"
#include "link/host-internal.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

/* A call that the driver owes an answer to. */
struct call {
    LIST_ENTRY(call) link;
    struct conn *conn;
    sd_bus_slot *slot;
    /* Reads the reply (NULL on failure) and tells the caller. */
    void (*finish)(struct call *call, int r, const struct link_failure *failure, sd_bus_message *reply);
    union {
        link_value_fn value;
        link_values_fn values;
        link_complaints_fn complaints;
        link_found_fn found;
    } done;
    void *userdata;
};

static const struct link_failure bad_answer = {ERROR_INVALID_ARGUMENT, "the driver's answer is malformed"};

/* Out of the connection's list before anybody is told: what is told may close the connection. */
static void finish(struct call *call, int r, const struct link_failure *failure, sd_bus_message *reply)
{
    LIST_REMOVE(call, link);
    call->conn->n_calls--;
    call->finish(call, r, failure, reply);
    sd_bus_slot_unref(call->slot);
    free(call);
}

void conn_end_calls(struct conn *c, int r, const char *text)
{
    const struct link_failure failure = {ERROR_DRIVER_AWAY, text};

    while (!LIST_EMPTY(&c->calls))
        finish(LIST_FIRST(&c->calls), r, &failure, NULL);
}

static int on_reply(sd_bus_message *m, void *userdata, sd_bus_error *error)
{
    const sd_bus_error *e = sd_bus_message_get_error(m);
    struct call *call = userdata;

    if (sd_bus_message_is_method_error(m, NULL)) {
        char text[ERROR_TEXT_MAX];
        const struct link_failure failure = {e->name, text};

        /* It will be logged: a driver may not write lines of ours. */
        snprintf(text, sizeof(text), "%s", e->message ?: e->name);
        host_clean(text);
        finish(call, wire_error_errno(e), &failure, m);
    } else
        finish(call, 0, NULL, m);
    return 1;
}

static int call_begin(struct link_host *h, const char *driver, const char *member, struct conn **ret_conn,
                      sd_bus_message **ret)
{
    struct link_driver *d = link_host_find_driver(h, driver);

    if (!d || !d->conn)
        return -ENOTCONN;
    if (d->conn->n_calls == LINK_CALLS_MAX)
        return -EBUSY;
    *ret_conn = d->conn;
    return sd_bus_message_new_method_call(d->conn->bus, ret, NULL, LINK_PATH, LINK_INTERFACE_DRIVER, member);
}

static int call_send(struct conn *c, sd_bus_message *m, uint64_t timeout, const struct call *model)
{
    struct call *call = malloc(sizeof(*call));
    int r;

    if (!call)
        return -ENOMEM;
    *call = *model;
    call->conn = c;
    r = sd_bus_call_async(c->bus, &call->slot, m, on_reply, call, timeout);
    if (r < 0) {
        free(call);
        return r;
    }
    LIST_INSERT_HEAD(&c->calls, call, link);
    c->n_calls++;
    return 0;
}

static void finish_value(struct call *call, int r, const struct link_failure *failure, sd_bus_message *reply)
{
    struct sample_value v;

    if (r >= 0 && wire_read_value(reply, &v) < 0) {
        r = -EBADMSG;
        failure = &bad_answer;
    }
    call->done.value(r, failure, r < 0 ? NULL : &v, call->userdata);
}

int link_host_write(struct link_host *h, const char *driver, const char *device, const char *point,
                    const struct sample_value *value, link_value_fn done, void *userdata)
{
    const struct call model = {.finish = finish_value, .done.value = done, .userdata = userdata};
    _cleanup_(sd_bus_message_unrefp) sd_bus_message *m = NULL;
    struct conn *c;
    int r;

    if (!id_valid(device) || !id_valid(point) || !sample_value_valid(value))
        return -EINVAL;
    r = call_begin(h, driver, "Write", &c, &m);
    if (r >= 0)
        r = sd_bus_message_append(m, "ss", device, point);
    if (r >= 0)
        r = wire_append_value(m, value);
    return r < 0 ? r : call_send(c, m, LINK_CALL_TIMEOUT, &model);
}

int link_host_read(struct link_host *h, const char *driver, const char *device, const char *point, link_value_fn done,
                   void *userdata)
{
    const struct call model = {.finish = finish_value, .done.value = done, .userdata = userdata};
    _cleanup_(sd_bus_message_unrefp) sd_bus_message *m = NULL;
    struct conn *c;
    int r;

    if (!id_valid(device) || !id_valid(point))
        return -EINVAL;
    r = call_begin(h, driver, "Read", &c, &m);
    if (r >= 0)
        r = sd_bus_message_append(m, "ss", device, point);
    return r < 0 ? r : call_send(c, m, LINK_CALL_TIMEOUT, &model);
}

static int read_complaints(sd_bus_message *m, struct link_complaint *complaints)
{
    size_t n = 0;
    int r = sd_bus_message_enter_container(m, 'a', "(ss)");

    while (r >= 0 && n < LINK_ANSWERS_MAX) {
        r = sd_bus_message_read(m, "(ss)", &complaints[n].pointer, &complaints[n].message);
        if (r == 0)
            break;
        n++;
    }
    return r < 0 ? r : (int)n;
}

static void finish_complaints(struct call *call, int r, const struct link_failure *failure, sd_bus_message *reply)
{
    _cleanup_free_ struct link_complaint *complaints = calloc(LINK_ANSWERS_MAX, sizeof(*complaints));
    int n = 0;

    if (r >= 0)
        n = complaints ? read_complaints(reply, complaints) : -ENOMEM;
    if (n < 0) {
        r = -EBADMSG;
        failure = &bad_answer;
        n = 0;
    }
    call->done.complaints(r, failure, complaints, (size_t)n, call->userdata);
}

int link_host_check_config(struct link_host *h, const char *driver, const struct link_device *device,
                           link_complaints_fn done, void *userdata)
{
    const struct call model = {.finish = finish_complaints, .done.complaints = done, .userdata = userdata};
    _cleanup_(sd_bus_message_unrefp) sd_bus_message *m = NULL;
    _cleanup_free_ char *text = NULL;
    struct conn *c;
    int r;

    if (!id_valid(device->id))
        return -EINVAL;
    if (asprintf(&text, "{\"section\":%s,\"points\":%s}", device->section, device->points) < 0) {
        text = NULL;
        return -ENOMEM;
    }
    r = call_begin(h, driver, "CheckConfig", &c, &m);
    if (r >= 0)
        r = sd_bus_message_append(m, "ss", device->id, text);
    return r < 0 ? r : call_send(c, m, LINK_CALL_TIMEOUT, &model);
}

static int read_found(sd_bus_message *m, json_object *found)
{
    int r = sd_bus_message_enter_container(m, 'a', "(sa{sv})");

    while (r >= 0) {
        const char *id;
        json_object *object;

        r = sd_bus_message_enter_container(m, 'r', "sa{sv}");
        if (r <= 0)
            return r;
        r = sd_bus_message_read_basic(m, 's', &id);
        if (r >= 0)
            r = wire_read_dict(m, &object);
        if (r < 0)
            return r;
        json_object_object_add(object, "id", json_object_new_string(id));
        if (json_object_array_add(found, object) < 0) {
            json_object_put(object);
            return -ENOMEM;
        }
        r = sd_bus_message_exit_container(m);
    }
    return r;
}

static void finish_found(struct call *call, int r, const struct link_failure *failure, sd_bus_message *reply)
{
    _cleanup_json_ json_object *found = json_object_new_array();

    if (r >= 0 && (!found || read_found(reply, found) < 0)) {
        r = -EBADMSG;
        failure = &bad_answer;
    }
    call->done.found(r, failure, r < 0 ? NULL : found, call->userdata);
}

int link_host_scan(struct link_host *h, const char *driver, json_object *options, link_found_fn done, void *userdata)
{
    const struct call model = {.finish = finish_found, .done.found = done, .userdata = userdata};
    _cleanup_(sd_bus_message_unrefp) sd_bus_message *m = NULL;
    struct conn *c;
    int r = call_begin(h, driver, "Scan", &c, &m);

    if (r >= 0)
        r = wire_append_dict(m, options);
    return r < 0 ? r : call_send(c, m, LINK_SCAN_TIMEOUT, &model);
}

static int read_values(sd_bus_message *m, struct sample_value *values)
{
    int r = sd_bus_message_enter_container(m, 'a', "v");
    size_t n = 0;

    while (r >= 0 && n < LINK_ANSWERS_MAX && sd_bus_message_at_end(m, 0) == 0) {
        r = wire_read_value(m, &values[n]);
        n++;
    }
    return r < 0 ? r : (int)n;
}

static void finish_values(struct call *call, int r, const struct link_failure *failure, sd_bus_message *reply)
{
    _cleanup_free_ struct sample_value *values = calloc(LINK_ANSWERS_MAX, sizeof(*values));
    int n = 0;

    if (r >= 0)
        n = values ? read_values(reply, values) : -ENOMEM;
    if (n < 0) {
        r = -EBADMSG;
        failure = &bad_answer;
        n = 0;
    }
    call->done.values(r, failure, values, (size_t)n, call->userdata);
}

int link_host_read_raw(struct link_host *h, const char *driver, json_object *options, link_values_fn done,
                       void *userdata)
{
    const struct call model = {.finish = finish_values, .done.values = done, .userdata = userdata};
    _cleanup_(sd_bus_message_unrefp) sd_bus_message *m = NULL;
    struct conn *c;
    int r = call_begin(h, driver, "ReadRaw", &c, &m);

    if (r >= 0)
        r = wire_append_dict(m, options);
    return r < 0 ? r : call_send(c, m, LINK_CALL_TIMEOUT, &model);
}

int link_host_quit(struct link_host *h, const char *driver)
{
    _cleanup_(sd_bus_message_unrefp) sd_bus_message *m = NULL;
    struct conn *c;
    int r = call_begin(h, driver, "Quit", &c, &m);

    if (r >= 0)
        r = sd_bus_message_set_expect_reply(m, 0);
    return r < 0 ? r : sd_bus_send(c->bus, m, NULL);
}
