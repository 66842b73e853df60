/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* May this device send samples now? One answer out of everything that is asked, for delivery.c, and for the operator
 * who looks why samples wait. Pure; cannot fail. */

#include "device/connection-table.h"

#include <stdbool.h>

enum send_answer {
    SEND_NOW,
    SEND_NOTHING,    /* no samples wait */
    SEND_NO_SESSION, /* its session is not connected */
    SEND_ANNOUNCING, /* the cloud is told of the device first */
    SEND_PROVING,    /* no message has come back yet: what the server acknowledges may go nowhere */
    SEND_KEY_TRIED,  /* another key is tried in place of the session */
    SEND_REMOVED,    /* the device is being removed, or is already */
    SEND_RELOADING,  /* a reload is about to make the device anew */
    SEND_UNDER_WAY,  /* the request before is not answered */
    SEND_LATER,      /* after a failure, or for the pace that the cloud allows */
    SEND_NO_CLOCK,   /* the samples of this boot have no times yet */
};

struct send_facts {
    enum connection_phase phase; /* of the main connection */
    bool excluded;               /* a probe takes the session's place */
    bool removed;
    bool paused;
    bool under_way;
    bool later;   /* a timer is armed for it */
    bool waits;   /* there is a sample */
    bool undated; /* the time is not known */
};

/* The first that holds it back, the one to be looked at; SEND_NOW: nothing does. */
enum send_answer send_gate(const struct send_facts *f);
/* "now", "no-session", … */
const char *send_answer_name(enum send_answer answer);
