/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* GetSummary of the manager. */
#include "device/summary.h"
#include "bus/methods.h"

static int append_counts(sd_bus_message *m, const char *key, const char *(*name)(unsigned state),
                         const uint32_t *counts, unsigned n)
{
    int r = sd_bus_message_open_container(m, 'e', "sv");

    if (r >= 0)
        r = sd_bus_message_append_basic(m, 's', key);
    if (r >= 0)
        r = sd_bus_message_open_container(m, 'v', "a{su}");
    if (r >= 0)
        r = sd_bus_message_open_container(m, 'a', "{su}");
    for (unsigned i = 0; r >= 0 && i < n; i++)
        if (counts[i] > 0)
            r = sd_bus_message_append(m, "{su}", name(i), counts[i]);
    for (int i = 0; r >= 0 && i < 3; i++)
        r = sd_bus_message_close_container(m);
    return r;
}

static const char *state_name(unsigned state)
{
    return device_state_name((enum device_state)state);
}

static const char *sensor_name(unsigned state)
{
    return sensor_state_name((enum sensor_state)state);
}

/* An entry whose value is an array of tuples, which append_all appends. */
static int append_list(sd_bus_message *m, const char *key, const char *type,
                       int (*append_all)(sd_bus_message *m, const struct summary *s), const struct summary *s)
{
    char array[16];
    int r = sd_bus_message_open_container(m, 'e', "sv");

    snprintf(array, sizeof(array), "a%s", type);
    if (r >= 0)
        r = sd_bus_message_append_basic(m, 's', key);
    if (r >= 0)
        r = sd_bus_message_open_container(m, 'v', array);
    if (r >= 0)
        r = sd_bus_message_open_container(m, 'a', type);
    if (r >= 0)
        r = append_all(m, s);
    for (int i = 0; r >= 0 && i < 3; i++)
        r = sd_bus_message_close_container(m);
    return r;
}

static int append_uplinks(sd_bus_message *m, const struct summary *s)
{
    int r = 0;

    for (size_t i = 0; r >= 0 && i < s->n_uplinks; i++)
        r = sd_bus_message_append(m, "(ssuus)", s->uplinks[i].name, s->uplinks[i].url, s->uplinks[i].devices,
                                  s->uplinks[i].online, s->uplinks[i].reason);
    return r;
}

static int append_phases(sd_bus_message *m, const struct summary *s)
{
    int r = 0;

    for (size_t i = 0; r >= 0 && i < s->n_phases; i++)
        r = sd_bus_message_append(m, "{su}", s->phases[i].name, s->phases[i].devices);
    return r;
}

static int append_rotations(sd_bus_message *m, const struct summary *s)
{
    int r = 0;

    for (size_t i = 0; r >= 0 && i < s->n_rotations; i++)
        r = sd_bus_message_append(m, "(sss)", s->rotations[i].device, s->rotations[i].state, s->rotations[i].reason);
    return r;
}

static int append_problems(sd_bus_message *m, const struct summary *s)
{
    int r = 0;

    for (size_t i = 0; r >= 0 && i < s->n_problems; i++)
        r = sd_bus_message_append(m, "(sus)", s->problems[i].device, s->problems[i].devices, s->problems[i].text);
    if (r >= 0 && s->other_problems > 0)
        r = sd_bus_message_append(m, "(sus)", "", s->other_problems, "");
    return r;
}

int summary_method_get(sd_bus_message *m, void *userdata, sd_bus_error *error)
{
    _cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;
    _cleanup_(summary_freep) struct summary *s = NULL;
    struct bus *b = userdata;
    struct fleet_totals totals;
    int r = fleet_summary(b->fleet, &s);

    if (r < 0)
        return r;
    fleet_totals(b->fleet, &totals);
    r = sd_bus_message_new_method_return(m, &reply);
    if (r >= 0)
        r = sd_bus_message_open_container(reply, 'a', "{sv}");
    if (r >= 0)
        r = append_counts(reply, "States", state_name, s->states, DEVICE_STATES);
    if (r >= 0)
        r = append_counts(reply, "Sensors", sensor_name, totals.sensors, SENSOR_STATES);
    if (r >= 0)
        r = append_list(reply, "Uplinks", "(ssuus)", append_uplinks, s);
    if (r >= 0)
        r = append_list(reply, "Rotating", "{su}", append_phases, s);
    if (r >= 0)
        r = append_list(reply, "Rotations", "(sss)", append_rotations, s);
    if (r >= 0)
        r = append_list(reply, "Problems", "(sus)", append_problems, s);
    if (r >= 0)
        r = sd_bus_message_close_container(reply);
    return r < 0 ? r : sd_bus_send(NULL, reply, NULL);
}
