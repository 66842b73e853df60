/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Has the plugins check the sections and points of devices before these are loaded. A driver that is disconnected
 * cannot be asked: its devices are accepted, and it reports later what it finds. */
#include "device/check.h"

#include "device/internal.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CALLS_AT_ONCE (LINK_CALLS_MAX / 2) /* the other half is for reads and writes */

struct check {
    struct fleet *fleet;
    struct config_device **devices; /* references */
    size_t n, next, open;
    bool busy; /* within `go` */
    struct mistakes mistakes;
    void (*done)(struct mistakes *mistakes, void *userdata);
    void *userdata;
};

/* One device's call. */
struct question {
    struct check *check;
    struct config_device *device;
};

static void go(struct check *c);

static void check_free(struct check *c)
{
    for (size_t i = 0; i < c->n; i++)
        config_device_unref(c->devices[i]);
    free(c->devices);
    mistakes_done(&c->mistakes);
    free(c);
}

static void on_complaints(int r, const struct link_failure *failure, const struct packet_complaint *complaints,
                          size_t n, void *userdata)
{
    struct question *q = userdata;
    struct check *c = q->check;

    /* A driver that went away, or that cannot look, is no mistake in the file. */
    for (size_t i = 0; r >= 0 && i < n; i++)
        config_device_complain(q->device, &c->mistakes, complaints[i].pointer, complaints[i].message);
    free(q);
    c->open--;
    go(c);
}

static int ask(struct check *c, struct config_device *device)
{
    const struct link_device view = {.id = device->id, .section = device->section, .points = device->points_text};
    struct question *q = malloc(sizeof(*q));
    int r;

    if (!q)
        return -ENOMEM;
    *q = (struct question){.check = c, .device = device};
    r = link_host_check_config(c->fleet->link, device->driver, &view, on_complaints, q);
    if (r < 0)
        free(q);
    else
        c->open++;
    return r;
}

/* A section that nobody looked at must not pass for a good one: -ENOTCONN alone means that it is accepted. */
static void not_asked(struct check *c, struct config_device *device, int r)
{
    char text[ERROR_TEXT_MAX];

    if (r >= 0 || r == -ENOTCONN)
        return;
    snprintf(text, sizeof(text), "driver %s could not be asked about this section: %s; try again", device->driver,
             r == -EBUSY ? "it has too many requests waiting" : strerror(-r));
    config_device_complain(device, &c->mistakes, "", text);
}

static void go(struct check *c)
{
    int r;

    if (c->busy)
        return;
    c->busy = true;
    for (; c->next < c->n && c->open < CALLS_AT_ONCE; c->next++) {
        r = ask(c, c->devices[c->next]);
        if (r == -EBUSY && c->open > 0)
            break; /* an answer to come makes room */
        not_asked(c, c->devices[c->next], r);
    }
    c->busy = false;
    if (c->open > 0)
        return;
    c->done(&c->mistakes, c->userdata);
    check_free(c);
}

int check_devices(struct fleet *f, struct config_device *const *devices, size_t n,
                  void (*done)(struct mistakes *mistakes, void *userdata), void *userdata)
{
    struct check *c = calloc(1, sizeof(*c));

    if (c)
        c->devices = calloc(n + 1, sizeof(struct config_device *));
    if (!c || !c->devices) {
        free(c);
        return -ENOMEM;
    }
    c->fleet = f;
    c->done = done;
    c->userdata = userdata;
    for (; c->n < n; c->n++)
        c->devices[c->n] = config_device_ref(devices[c->n]);
    go(c);
    return 0;
}
