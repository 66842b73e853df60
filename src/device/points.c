/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Read and Write of single points, by way of the device's driver. Each write is written down with who asked for it, as
 * are those that are refused. */
#include "base/clock.h"
#include "base/log.h"
#include "base/messages.h"
#include "base/ratelimit.h"
#include "base/sample-set.h"
#include "device/device.h"
#include "device/internal.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

struct point_call {
    char *point;               /* "flow_temp of boiler-1" */
    char *id, *wanted, *asker; /* of a write */
    uint32_t uid;
    device_written written;
    device_value read;
    device_counts counts;
    void *userdata;
};

/* A row of points is configured as one, NAME, and its points are NAME.1, NAME.2 and so on. Whether there is such a row,
 * and how long it is, the driver knows. */
static const struct config_point *find_row(struct device *d, const char *point)
{
    const char *dot = strrchr(point, '.');
    char name[DEVICE_ID_MAX + 1];

    if (!dot || !dot[1] || dot[1 + strspn(dot + 1, "0123456789")] || (size_t)(dot - point) >= sizeof(name))
        return NULL;
    memcpy(name, point, (size_t)(dot - point));
    name[dot - point] = 0;
    return config_point(d->config, name);
}

static const struct config_point *find(struct device *d, const char *point, int *ret_r, struct error *e)
{
    const struct config_point *p = config_point(d->config, point) ?: find_row(d, point);

    if (!p)
        *ret_r = error_set(e, -ENXIO, "%s has no point '%s'", d->config->id, point);
    return p;
}

static int failed_to_begin(struct device *d, int r, struct error *e)
{
    if (r == -ENOTCONN)
        return error_set(e, r, "the driver %s of %s is away", d->config->driver, d->config->id);
    if (r == -EBUSY)
        return error_set(e, r, "the driver %s has too many calls open", d->config->driver);
    return error_errno(e, r, "%s", d->config->id);
}

/* A driver's errors in the words of the bus: what it lacks is a point. */
static void driver_error(int *r, const struct link_failure *failure, struct error *e)
{
    if (*r >= 0)
        return;
    if (*r == -ENOENT)
        *r = -ENXIO;
    error_set(e, *r, "%s", failure ? failure->text : strerrordesc_np(-*r));
}

static void call_free(struct point_call *call)
{
    free(call->point);
    free(call->id);
    free(call->wanted);
    free(call->asker);
    free(call);
}

/* The device rounds to what its register can hold. */
static void write_down(const struct point_call *call, const struct sample_value *set)
{
    _cleanup_free_ char *text = sample_value_text(set);
    bool other = text && strcmp(text, call->wanted) != 0;

    log_audit(LOG_NOTICE, MESSAGE_WRITTEN, call->id, call->uid, "%s had %s written to %s%s%s", call->asker,
              call->wanted, call->point, other ? "; the device took it as " : "", other ? text : "");
}

static void on_written(int r, const struct link_failure *failure, const struct sample_value *value, void *userdata)
{
    struct point_call *call = userdata;
    struct error e = {0};

    driver_error(&r, failure, &e);
    if (r < 0)
        log_audit(LOG_WARNING, MESSAGE_WRITE_FAILED, call->id, call->uid, "%s wanted %s of %s: %s", call->asker,
                  call->wanted, call->point, e.text);
    else
        write_down(call, value);
    call->written(r, r < 0 ? NULL : value, &e, call->userdata);
    call_free(call);
}

static void on_read(int r, const struct link_failure *failure, const struct sample_value *value, void *userdata)
{
    struct point_call *call = userdata;
    struct error e = {0};

    driver_error(&r, failure, &e);
    call->read(r, value, clock_realtime(), &e, call->userdata);
    call_free(call);
}

static double as_number(const struct sample_value *v)
{
    switch (v->type) {
    case SAMPLE_BOOL:
        return v->b;
    case SAMPLE_INT:
        return (double)v->x;
    case SAMPLE_UINT:
        return (double)v->t;
    case SAMPLE_DOUBLE:
        return v->d;
    case SAMPLE_STRING:
        return NAN;
    }
    return NAN;
}

static int check_write(struct device *d, const struct config_point *p, const struct sample_value *value,
                       struct error *e)
{
    double number = as_number(value);

    if (!p->writable)
        return error_set(e, -EACCES, "%s of %s is not writable (\"writable\": true in its file allows it)", p->name,
                         d->config->id);
    if (isnan(number))
        return isinf(p->min) && isinf(p->max) ? 0
                                              : error_set(e, -EDOM, "%s of %s takes numbers from %g to %g", p->name,
                                                          d->config->id, p->min, p->max);
    if (number < p->min || number > p->max)
        return error_set(e, -ERANGE, "%g is beyond the limits of %s of %s, %g to %g", number, p->name, d->config->id,
                         p->min, p->max);
    return 0;
}

static struct point_call *call_new(struct device *d, const char *point, void *userdata)
{
    struct point_call *call = calloc(1, sizeof(*call));

    if (!call)
        return NULL;
    if (asprintf(&call->point, "%s of %s", point, d->config->id) < 0)
        call->point = NULL;
    call->userdata = userdata;
    return call;
}

/* Kept only for devices that are written to. */
struct write_limits {
    struct ratelimit writes;
    struct ratelimit cloud, callers; /* lines about what was refused; neither takes the other's */
};

static struct write_limits *limits(struct device *d)
{
    if (d->writes)
        return d->writes;
    d->writes = malloc(sizeof(*d->writes));
    if (!d->writes)
        return NULL;
    ratelimit_init(&d->writes->writes, WRITE_BURST * USEC_PER_SEC / WRITES_PER_SEC, WRITE_BURST);
    ratelimit_init(&d->writes->cloud, REFUSED_WRITES_INTERVAL, REFUSED_WRITES_SAID);
    ratelimit_init(&d->writes->callers, REFUSED_WRITES_INTERVAL, REFUSED_WRITES_SAID);
    return d->writes;
}

/* A token for a write, if there is one. */
static bool rate_allows(struct device *d)
{
    return limits(d) && ratelimit_take(&d->writes->writes, clock_boottime(), 1);
}

void device_write_refused(struct device *d, const struct device_asker *asker, const char *wanted, const char *point,
                          const char *reason)
{
    if (!limits(d))
        return;
    log_audit_limited(asker->uid == NOBODY ? &d->writes->cloud : &d->writes->callers, LOG_WARNING, MESSAGE_WRITE_FAILED,
                      d->config->id, asker->uid, "%s wanted %s of %s of %s: %s", asker->words, wanted, point,
                      d->config->id, reason);
}

static int write_begin(struct device *d, const char *point, const struct sample_value *value, struct point_call *call,
                       struct error *e)
{
    int r = 0;
    const struct config_point *p = find(d, point, &r, e);

    if (p)
        r = check_write(d, p, value, e);
    if (r >= 0 && !rate_allows(d))
        r = error_set(e, -EBUSY, "%s is written to more than %d times a second", d->config->id, WRITES_PER_SEC);
    if (r < 0)
        return r;
    r = link_host_write(d->fleet->link, d->config->driver, d->config->id, point, value, on_written, call);
    return r < 0 ? failed_to_begin(d, r, e) : 0;
}

int device_write(struct device *d, const char *point, const struct sample_value *value,
                 const struct device_asker *asker, device_written done, void *userdata, struct error *e)
{
    struct point_call *call = call_new(d, point, userdata);
    struct error unasked;
    int r;

    if (!call)
        return -ENOMEM;
    e = e ?: &unasked;
    call->written = done;
    call->uid = asker->uid;
    call->id = strdup(d->config->id);
    call->wanted = sample_value_text(value);
    call->asker = strdup(asker->words);
    r = call->point && call->id && call->wanted && call->asker ? write_begin(d, point, value, call, e) : -ENOMEM;
    if (r < 0) {
        if (r != -ENOMEM)
            device_write_refused(d, asker, call->wanted, point, e->text);
        call_free(call);
    }
    return r;
}

/* ---- Several points by one request ---- */

struct points_call {
    char *id, *asker;
    uint32_t uid;
    size_t n;
    char *points[LINK_WRITES_MAX], *wanted[LINK_WRITES_MAX];
    device_points_written done;
    void *userdata;
};

static struct points_call *points_call_free(struct points_call *call)
{
    if (!call)
        return NULL;
    for (size_t i = 0; i < call->n; i++) {
        free(call->points[i]);
        free(call->wanted[i]);
    }
    free(call->id);
    free(call->asker);
    free(call);
    return NULL;
}

static struct points_call *points_call_new(struct device *d, const struct sample_write *writes, size_t n,
                                           const struct device_asker *asker)
{
    struct points_call *call = calloc(1, sizeof(*call));
    bool whole;

    if (!call)
        return NULL;
    call->id = strdup(d->config->id);
    call->asker = strdup(asker->words);
    call->uid = asker->uid;
    whole = call->id && call->asker;
    for (; whole && call->n < n; call->n++) {
        call->points[call->n] = strdup(writes[call->n].point);
        call->wanted[call->n] = sample_value_text(&writes[call->n].value);
        whole = call->points[call->n] && call->wanted[call->n];
    }
    return whole ? call : points_call_free(call);
}

static void points_write_down(const struct points_call *call, size_t i, const struct sample_value *set)
{
    _cleanup_free_ char *text = sample_value_text(set);
    bool other = text && strcmp(text, call->wanted[i]) != 0;

    log_audit(LOG_NOTICE, MESSAGE_WRITTEN, call->id, call->uid, "%s had %s written to %s of %s%s%s", call->asker,
              call->wanted[i], call->points[i], call->id, other ? "; the device took it as " : "", other ? text : "");
}

static void on_points_written(int r, const struct link_failure *failure, const struct sample_value *values, size_t n,
                              void *userdata)
{
    struct points_call *call = userdata;
    struct error e = {0};

    if (r >= 0 && n != call->n)
        r = error_set(&e, -EBADMSG, "the driver answered with %zu values for %zu points", n, call->n);
    else
        driver_error(&r, failure, &e);
    for (size_t i = 0; i < call->n; i++)
        if (r >= 0)
            points_write_down(call, i, &values[i]);
        else
            log_audit(LOG_WARNING, MESSAGE_WRITE_FAILED, call->id, call->uid, "%s wanted %s of %s of %s: %s",
                      call->asker, call->wanted[i], call->points[i], call->id, e.text);
    call->done(r, r < 0 ? NULL : values, r < 0 ? 0 : n, &e, call->userdata);
    points_call_free(call);
}

/* *ret_bad: which of them it was about. */
static int check_writes(struct device *d, const struct sample_write *writes, size_t n, size_t *ret_bad, struct error *e)
{
    int r = 0;

    for (size_t i = 0; i < n; i++) {
        const struct config_point *p = find(d, writes[i].point, &r, e);

        *ret_bad = i;
        if (p)
            r = check_write(d, p, &writes[i].value, e);
        for (size_t k = 0; r >= 0 && k < i; k++)
            if (strcmp(writes[k].point, writes[i].point) == 0)
                r = error_set(e, -EINVAL, "%s of %s is given twice", writes[i].point, d->config->id);
        if (r < 0)
            return r;
    }
    *ret_bad = 0;
    if (!limits(d) || !ratelimit_take(&d->writes->writes, clock_boottime(), n))
        return error_set(e, -EBUSY, "%s is written to more than %d times a second", d->config->id, WRITES_PER_SEC);
    return 0;
}

static int points_begin(struct device *d, const struct sample_write *writes, size_t n, struct points_call *call,
                        size_t *ret_bad, struct error *e)
{
    int r = check_writes(d, writes, n, ret_bad, e);

    if (r < 0)
        return r;
    r = link_host_write_points(d->fleet->link, d->config->driver, d->config->id, writes, n, on_points_written, call);
    if (r == -EOPNOTSUPP)
        return error_set(e, r, "the driver %s writes one point at a time", d->config->driver);
    return r < 0 ? failed_to_begin(d, r, e) : 0;
}

int device_write_points(struct device *d, const struct sample_write *writes, size_t n, const struct device_asker *asker,
                        device_points_written done, void *userdata, struct error *e)
{
    struct points_call *call;
    size_t bad = 0;
    int r;

    if (n == 0 || n > LINK_WRITES_MAX)
        return error_set(e, -EINVAL, "%zu points of %s to write; expected 1 to %d", n, d->config->id, LINK_WRITES_MAX);
    call = points_call_new(d, writes, n, asker);
    if (!call)
        return -ENOMEM;
    call->done = done;
    call->userdata = userdata;
    r = points_begin(d, writes, n, call, &bad, e);
    if (r >= 0)
        return 0;
    device_write_refused(d, asker, call->wanted[bad], call->points[bad], e->text);
    points_call_free(call);
    return r;
}

int device_read(struct device *d, const char *point, device_value done, void *userdata, struct error *e)
{
    struct point_call *call;
    int r = 0;

    if (!find(d, point, &r, e))
        return r;
    call = call_new(d, point, userdata);
    if (!call)
        return -ENOMEM;
    call->read = done;
    r = link_host_read(d->fleet->link, d->config->driver, d->config->id, point, on_read, call);
    if (r < 0) {
        call_free(call);
        return failed_to_begin(d, r, e);
    }
    return 0;
}

static void on_statistics(int r, const struct link_failure *failure, json_object *found, void *userdata)
{
    struct point_call *call = userdata;
    struct error e = {0};

    driver_error(&r, failure, &e);
    call->counts(r, r < 0 ? NULL : json_object_array_get_idx(found, 0), &e, call->userdata);
    call_free(call);
}

int device_statistics(struct device *d, device_counts done, void *userdata, struct error *e)
{
    struct point_call *call = call_new(d, "statistics", userdata);
    int r;

    if (!call)
        return -ENOMEM;
    call->counts = done;
    r = link_host_statistics(d->fleet->link, d->config->driver, d->config->id, on_statistics, call);
    if (r >= 0)
        return 0;
    call_free(call);
    return r == -EOPNOTSUPP ? error_set(e, r, "the driver %s counts nothing", d->config->driver)
                            : failed_to_begin(d, r, e);
}

int device_samples(const struct device *d, const struct sample ***ret, size_t *ret_n)
{
    return sample_set_list(&d->newest, SAMPLE_SET_BY_POINT, ret, ret_n);
}
