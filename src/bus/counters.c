/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Properties of the manager for those who watch the gateway: what was counted since the start. */
#include "base/names.h"
#include "bus/methods.h"

#include <string.h>

static int append_states(sd_bus_message *reply, const struct fleet_counts *counts)
{
    int r = sd_bus_message_open_container(reply, 'a', "{su}");

    for (unsigned i = 0; r >= 0 && i < COUNTS_STATES; i++)
        r = sd_bus_message_append(reply, "{su}", counts_state_name(i), counts->rotating[i]);
    return r < 0 ? r : sd_bus_message_close_container(reply);
}

int counters_get(sd_bus *connection, const char *path, const char *interface, const char *property,
                 sd_bus_message *reply, void *userdata, sd_bus_error *error)
{
    struct bus *b = userdata;
    struct fleet_totals totals;

    fleet_totals(b->fleet, &totals);
    if (strcmp(property, "Delivered") == 0)
        return sd_bus_message_append(reply, "t", totals.delivered);
    if (strcmp(property, "Dropped") == 0)
        return sd_bus_message_append(reply, "t", totals.dropped);
    if (strcmp(property, "Rejected") == 0)
        return sd_bus_message_append(reply, "t", totals.rejected);
    if (strcmp(property, "RotationStates") == 0)
        return append_states(reply, totals.counts);
    return sd_bus_message_append(reply, "a{st}", 3, "done", totals.counts->done, "abandoned", totals.counts->abandoned,
                                 "fallen-back", totals.counts->fell_back);
}
