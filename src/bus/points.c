/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Methods of a device that concern its points: Read, Write, and what is known of them. */
#include "base/clock.h"
#include "base/limits.h"
#include "base/names.h"
#include "bus/methods.h"
#include "bus/value.h"

#include <errno.h>
#include <string.h>

#define NO_VALUE "a value is one of b i u x t d s; doubles finite, texts UTF-8 of at most 255 bytes"

/* A value that a point does not take has names of its own, apart from a point that takes none. */
static int refused(int r, const struct error *e, sd_bus_error *error)
{
    const char *text = e && e->text[0] ? e->text : NULL;

    if (r == -ERANGE)
        return sd_bus_error_set(error, ERROR_OUT_OF_RANGE, text ?: "the value is out of range");
    if (r == -EDOM || r == -EINVAL)
        return sd_bus_error_set(error, ERROR_WRONG_TYPE, text ?: "the value is of a wrong type");
    return bus_error_set(error, r, e);
}

static void reply_refused(sd_bus_message *call, int r, const struct error *e)
{
    _cleanup_(sd_bus_error_free) sd_bus_error error = SD_BUS_ERROR_NULL;

    refused(r, e, &error);
    sd_bus_reply_method_error(call, &error);
}

static void on_written(int r, const struct sample_value *set, const struct error *e, void *userdata)
{
    _cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;
    sd_bus_message *m = userdata;

    if (r >= 0)
        r = sd_bus_message_new_method_return(m, &reply);
    if (r >= 0)
        r = bus_append_value(reply, set);
    if (r >= 0)
        r = sd_bus_send(NULL, reply, NULL);
    if (r < 0)
        reply_refused(m, r, e);
    sd_bus_message_unref(m);
}

int points_method_write(sd_bus_message *m, void *userdata, sd_bus_error *error)
{
    struct sample_value value;
    struct error e = {0};
    const char *point;
    int r = policy_check(device_object_bus(m), m, ACTION_WRITE, error);

    if (r <= 0)
        return r < 0 ? r : 1;
    r = sd_bus_message_read(m, "s", &point);
    if (r < 0)
        return r;
    if (bus_read_value(m, &value) < 0)
        return sd_bus_error_set(error, ERROR_INVALID_ARGUMENT, NO_VALUE);
    r = device_write(userdata, point, &value,
                     &(struct device_asker){.uid = device_object_bus(m)->caller, .words = "a caller on the bus"},
                     on_written, sd_bus_message_ref(m), &e);
    if (r >= 0)
        return 1;
    sd_bus_message_unref(m);
    return refused(r, &e, error);
}

/* The call, and the names of its points, which live in it. */
struct points_asked {
    sd_bus_message *call;
    size_t n;
    struct sample_write writes[LINK_WRITES_MAX];
};

static void asked_free(struct points_asked *a)
{
    sd_bus_message_unref(a->call);
    free(a);
}

static int append_set(sd_bus_message *m, const struct points_asked *a, const struct sample_value *set)
{
    int r = sd_bus_message_open_container(m, 'a', "{sv}");

    for (size_t i = 0; r >= 0 && i < a->n; i++) {
        r = sd_bus_message_open_container(m, 'e', "sv");
        if (r >= 0)
            r = sd_bus_message_append(m, "s", a->writes[i].point);
        if (r >= 0)
            r = bus_append_value(m, &set[i]);
        if (r >= 0)
            r = sd_bus_message_close_container(m);
    }
    return r < 0 ? r : sd_bus_message_close_container(m);
}

static void on_points_written(int r, const struct sample_value *set, size_t n, const struct error *e, void *userdata)
{
    _cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;
    struct points_asked *a = userdata;

    if (r >= 0)
        r = sd_bus_message_new_method_return(a->call, &reply);
    if (r >= 0)
        r = append_set(reply, a, set);
    if (r >= 0)
        r = sd_bus_send(NULL, reply, NULL);
    if (r < 0)
        reply_refused(a->call, r, e);
    asked_free(a);
}

/* Sets the error of a value that no point has, of a point that is named twice, of too many. */
static int read_writes(sd_bus_message *m, struct points_asked *a, sd_bus_error *error)
{
    int r = sd_bus_message_enter_container(m, 'a', "{sv}");

    while (r >= 0 && (r = sd_bus_message_enter_container(m, 'e', "sv")) > 0) {
        struct sample_write *w = &a->writes[a->n];

        if (a->n++ == LINK_WRITES_MAX)
            return sd_bus_error_setf(error, ERROR_INVALID_ARGUMENT, "expected at most %d points", LINK_WRITES_MAX);
        r = sd_bus_message_read(m, "s", &w->point);
        if (r >= 0 && bus_read_value(m, &w->value) < 0)
            return sd_bus_error_set(error, ERROR_INVALID_ARGUMENT, NO_VALUE);
        for (size_t i = 0; r >= 0 && i + 1 < a->n; i++)
            if (strcmp(a->writes[i].point, w->point) == 0)
                return sd_bus_error_setf(error, ERROR_INVALID_ARGUMENT, "%s is given twice", w->point);
        if (r >= 0)
            r = sd_bus_message_exit_container(m);
    }
    return r;
}

int points_method_write_points(sd_bus_message *m, void *userdata, sd_bus_error *error)
{
    struct points_asked *a;
    struct error e = {0};
    int r = policy_check(device_object_bus(m), m, ACTION_WRITE, error);

    if (r <= 0)
        return r < 0 ? r : 1;
    a = calloc(1, sizeof(*a));
    if (!a)
        return -ENOMEM;
    a->call = sd_bus_message_ref(m);
    r = read_writes(m, a, error);
    if (r >= 0) {
        r = device_write_points(
            userdata, a->writes, a->n,
            &(struct device_asker){.uid = device_object_bus(m)->caller, .words = "a caller on the bus"},
            on_points_written, a, &e);
        if (r >= 0)
            return 1;
        r = a->n == 0 ? sd_bus_error_set(error, ERROR_INVALID_ARGUMENT, e.text) : refused(r, &e, error);
    }
    asked_free(a);
    return r;
}

static void on_value(int r, const struct sample_value *value, uint64_t time, const struct error *e, void *userdata)
{
    _cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;
    sd_bus_message *m = userdata;

    if (r >= 0)
        r = sd_bus_message_new_method_return(m, &reply);
    if (r >= 0)
        r = bus_append_value(reply, value);
    if (r >= 0)
        r = sd_bus_message_append(reply, "t", time);
    if (r >= 0)
        r = sd_bus_send(NULL, reply, NULL);
    if (r < 0)
        bus_reply(m, r, e);
    sd_bus_message_unref(m);
}

int points_method_read(sd_bus_message *m, void *userdata, sd_bus_error *error)
{
    struct error e = {0};
    const char *point;
    int r = policy_check(device_object_bus(m), m, ACTION_MANAGE_DEVICES, error);

    if (r <= 0)
        return r < 0 ? r : 1;
    r = sd_bus_message_read(m, "s", &point);
    if (r < 0)
        return r;
    r = device_read(userdata, point, on_value, sd_bus_message_ref(m), &e);
    return r < 0 ? bus_not_begun(m, r, &e, error) : 1;
}

static int append_counts(sd_bus_message *m, json_object *counts)
{
    int r = sd_bus_message_open_container(m, 'a', "{st}");

    json_object_object_foreach (counts, name, value)
        if (r >= 0)
            r = sd_bus_message_append(m, "{st}", name, json_object_get_uint64(value));
    return r < 0 ? r : sd_bus_message_close_container(m);
}

static void on_statistics(int r, json_object *counts, const struct error *e, void *userdata)
{
    _cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;
    sd_bus_message *m = userdata;

    if (r >= 0)
        r = sd_bus_message_new_method_return(m, &reply);
    if (r >= 0)
        r = append_counts(reply, counts);
    if (r >= 0)
        r = sd_bus_send(NULL, reply, NULL);
    if (r < 0)
        bus_reply(m, r, e);
    sd_bus_message_unref(m);
}

int points_method_get_statistics(sd_bus_message *m, void *userdata, sd_bus_error *error)
{
    struct error e = {0};
    int r = policy_check(device_object_bus(m), m, ACTION_MONITOR, error);

    if (r <= 0)
        return r < 0 ? r : 1;
    r = device_statistics(userdata, on_statistics, sd_bus_message_ref(m), &e);
    return r < 0 ? bus_not_begun(m, r, &e, error) : 1;
}

/* With the time of day, as soon as that is known. */
static int append_sample(sd_bus_message *m, const struct sample *s)
{
    uint64_t time = s->time, boottime = clock_boottime();
    uint32_t quality = s->quality;
    int r = sd_bus_message_open_container(m, 'r', "stvsu");

    if (quality & SAMPLE_BOOTTIME && clock_synchronized()) {
        time = clock_realtime() - (boottime - MIN_OF(time, boottime));
        quality &= ~(uint32_t)SAMPLE_BOOTTIME;
    }
    if (r >= 0)
        r = sd_bus_message_append(m, "st", s->point, time);
    if (r >= 0)
        r = bus_append_value(m, &s->value);
    if (r >= 0)
        r = sd_bus_message_append(m, "su", s->unit, quality);
    return r < 0 ? r : sd_bus_message_close_container(m);
}

int points_method_get_samples(sd_bus_message *m, void *userdata, sd_bus_error *error)
{
    _cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;
    _cleanup_free_ const struct sample **samples = NULL;
    size_t n = 0;
    int r = policy_check(device_object_bus(m), m, ACTION_MONITOR, error);

    if (r <= 0)
        return r < 0 ? r : 1;
    r = device_samples(userdata, &samples, &n);
    if (r >= 0)
        r = sd_bus_message_new_method_return(m, &reply);
    if (r >= 0)
        r = sd_bus_message_open_container(reply, 'a', "(stvsu)");
    for (size_t i = 0; r >= 0 && i < n; i++)
        r = append_sample(reply, samples[i]);
    if (r >= 0)
        r = sd_bus_message_close_container(reply);
    return r < 0 ? r : sd_bus_send(NULL, reply, NULL);
}
