/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "device/summary.h"

#include "device/device.h"
#include "device/facts.h"
#include "device/internal.h"
#include "device/last-error.h"
#include "device/rotate-words.h"
#include "rotation/carrier.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void summary_add_problem(struct summary *s, const char *device, const char *text)
{
    for (size_t i = 0; i < s->n_problems; i++)
        if (strncmp(s->problems[i].text, text, sizeof(s->problems[i].text) - 1) == 0) {
            s->problems[i].devices++;
            return;
        }
    if (s->n_problems == ELEMENTSOF(s->problems)) {
        s->other_problems++;
        return;
    }
    s->problems[s->n_problems] = (struct summary_problem){.device = device, .devices = 1};
    snprintf(s->problems[s->n_problems].text, sizeof(s->problems[0].text), "%s", text);
    s->n_problems++;
}

/* Nobody has to do anything about these. */
static bool well(enum device_state state)
{
    switch (state) {
    case DEVICE_ONLINE:
    case DEVICE_IDLE:
    case DEVICE_DISABLED:
    case DEVICE_CONNECTING:
        return true;
    case DEVICE_NO_CREDENTIAL:
    case DEVICE_UNREGISTERED:
    case DEVICE_NO_DRIVER:
    case DEVICE_BACKING_OFF:
    case DEVICE_UNREACHABLE:
    case DEVICE_REFUSED:
    case DEVICE_CONFLICT:
    case DEVICE_RESTORED:
    case DEVICE_DAMAGED:
        return false;
    }
    return false;
}

static struct summary_uplink *find_uplink(struct summary *s, const struct device *d)
{
    for (size_t i = 0; i < s->n_uplinks; i++)
        if (strcmp(s->uplinks[i].name, d->config->uplink) == 0)
            return &s->uplinks[i];
    return NULL;
}

static void add_to_uplink(struct summary *s, struct device *d, enum device_state state)
{
    struct summary_uplink *u = find_uplink(s, d);

    if (!u)
        return;
    u->devices++;
    if (state == DEVICE_ONLINE)
        u->online++;
    else if (!u->reason[0] && (state == DEVICE_BACKING_OFF || state == DEVICE_UNREACHABLE || state == DEVICE_REFUSED))
        snprintf(u->reason, sizeof(u->reason), "%s", device_session_reason(d) ?: "");
}

static void add_phase(struct summary *s, const char *name)
{
    size_t i = 0;

    while (i < s->n_phases && strcmp(s->phases[i].name, name) != 0)
        i++;
    if (i == ELEMENTSOF(s->phases))
        return;
    if (i == s->n_phases)
        s->phases[s->n_phases++].name = name;
    s->phases[i].devices++;
}

static void add_rotation(struct summary *s, struct device *d)
{
    const char *state = d->keys.rotation ? rotation_carrier_state(d->keys.rotation) : "idle";
    struct summary_rotation *rotation = &s->rotations[s->n_rotations];
    const char *waits;
    uint64_t until;

    if (strcmp(state, "idle") == 0)
        return;
    add_phase(s, state);
    /* States that end by themselves are counted, and not listed. */
    if (strcmp(state, "swapped") == 0 || strcmp(state, "retiring") == 0 || s->n_rotations == ELEMENTSOF(s->rotations))
        return;
    waits = rotate_waits(d, &until);
    rotation->device = device_id(d);
    rotation->state = state;
    snprintf(rotation->reason, sizeof(rotation->reason), "%s", waits ?: "");
    s->n_rotations++;
}

/* `left`: how many may still be asked for their words. */
static void add_problem(struct summary *s, struct device *d, enum device_state state, unsigned *left)
{
    char buffer[ERROR_TEXT_MAX];
    const char *text = "";

    if (well(state) && !sensor_state_bad(d->sensor.shown))
        return;
    if (*left > 0) {
        (*left)--;
        if (!well(state))
            text = device_last_error(d, device_entry(d));
        if (!text[0])
            text = device_sensor_reason(d, buffer, sizeof(buffer));
        if (!text[0])
            text = device_state_name(state);
    }
    if (text[0])
        summary_add_problem(s, device_id(d), text);
    else
        s->other_problems++;
}

int fleet_summary(struct fleet *f, struct summary **ret)
{
    _cleanup_(summary_freep) struct summary *s = calloc(1, sizeof(*s));
    unsigned left = SUMMARY_PROBLEMS_ASKED;

    if (s)
        s->uplinks = calloc(f->config->n_uplinks + 1, sizeof(*s->uplinks));
    if (!s || !s->uplinks)
        return -ENOMEM;
    for (size_t i = 0; i < f->config->n_uplinks; i++)
        s->uplinks[s->n_uplinks++] =
            (struct summary_uplink){.name = f->config->uplinks[i]->name, .url = f->config->uplinks[i]->url};
    for (size_t i = 0; i < f->index.n; i++) {
        struct device *d = f->index.devices[i];
        enum device_state state = device_state(d);

        s->states[state]++;
        add_to_uplink(s, d, state);
        add_rotation(s, d);
        add_problem(s, d, state, &left);
    }
    *ret = TAKE_PTR(s);
    return 0;
}

struct summary *summary_free(struct summary *s)
{
    if (s)
        free(s->uplinks);
    free(s);
    return NULL;
}
