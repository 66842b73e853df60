/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Prints each way from one phase of a connection to another, as the table has them, for connection-picture.py:
 * "ROLE PHASE EVENT ROLE PHASE" in a line. */
#include "device/connection-table.h"

#include <stdio.h>

static const char *const roles[CONNECTION_ROLES] = {
    [CONNECTION_MAIN] = "main", [CONNECTION_PROBE] = "probe", [CONNECTION_LEAVING] = "leaving"};

static const char *const events[CONNECTION_EVENTS] = {
    [CONNECTION_EV_WAIT] = "wait",
    [CONNECTION_EV_START] = "start",
    [CONNECTION_EV_TRYING] = "trying",
    [CONNECTION_EV_ONLINE] = "online",
    [CONNECTION_EV_HANDSHAKE_FULL] = "handshake-full",
    [CONNECTION_EV_HANDSHAKE_RESUMED] = "handshake-resumed",
    [CONNECTION_EV_ANNOUNCE] = "announce",
    [CONNECTION_EV_ANNOUNCED] = "announced",
    [CONNECTION_EV_ACCEPTED] = "accepted",
    [CONNECTION_EV_REFUSED] = "refused",
    [CONNECTION_EV_UNPROVED] = "unproved",
    [CONNECTION_EV_KEY_REFUSED] = "key-refused",
    [CONNECTION_EV_UNREACHABLE] = "unreachable",
    [CONNECTION_EV_FAILED] = "failed",
    [CONNECTION_EV_LOCAL_FAILED] = "local-failed",
    [CONNECTION_EV_NEW_KEY] = "new-key",
    [CONNECTION_EV_ADOPT] = "adopt",
    [CONNECTION_EV_LEAVE] = "leave",
    [CONNECTION_EV_LEAVE_BUSY] = "leave-busy",
    [CONNECTION_EV_DRAINED] = "drained",
    [CONNECTION_EV_DROP] = "drop",
    [CONNECTION_EV_ABORT] = "abort",
    [CONNECTION_EV_STOPPED] = "stopped",
};

static void print(const struct connection_state *from, enum connection_event event)
{
    struct connection_state to = *from;

    connection_step(&to, event);
    if (to.role != from->role || to.phase != from->phase)
        printf("%s %s %s %s %s\n", roles[from->role], connection_phase_name(from->phase), events[event], roles[to.role],
               connection_phase_name(to.phase));
}

/* With the marks of a server that has to prove itself, and without. */
static void print_phase(enum connection_role role, enum connection_phase phase)
{
    for (int event = 0; event < CONNECTION_EVENTS; event++)
        for (int marks = 0; marks < 4; marks++)
            print(&(struct connection_state){.role = role, .phase = phase, .unproven = marks & 1, .awaits = marks & 2},
                  (enum connection_event)event);
}

int main(void)
{
    for (int event = 0; event < CONNECTION_EVENTS; event++)
        if (!events[event])
            return 1; /* name it above */
    for (int role = 0; role < CONNECTION_ROLES; role++)
        for (int phase = 0; phase < CONNECTION_PHASES; phase++)
            print_phase((enum connection_role)role, (enum connection_phase)phase);
    return fflush(stdout) == 0 ? 0 : 1;
}
