/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Purpose and progress of a connection of a device, and the actions that follow from each event: a table without I/O.
 * device/session.c and device/probe.c carry the actions out. Pure; cannot fail. */

#include <stdbool.h>

enum connection_role {
    CONNECTION_MAIN,    /* the ordinary one, on the main key */
    CONNECTION_PROBE,   /* a fresh handshake and one accepted message, with either key */
    CONNECTION_LEAVING, /* the main one before a swap, until its request has ended */
};
#define CONNECTION_ROLES (CONNECTION_LEAVING + 1)

enum connection_phase {
    CONNECTION_CLOSED,
    CONNECTION_CONNECTING, /* no session; another attempt follows, except for a probe */
    CONNECTION_ANNOUNCING, /* main: connected, and the cloud is told of the device */
    CONNECTION_PROVING,    /* nothing may be sent before one message is known to be accepted */
    CONNECTION_READY,      /* main: samples are sent; probe: accepted, kept until it is taken or dropped */
    CONNECTION_DRAINING,   /* leaving: until its request has ended; probe: until that of the main one has */
};
#define CONNECTION_PHASES (CONNECTION_DRAINING + 1)

enum connection_event {
    CONNECTION_EV_WAIT,              /* a probe that has to wait for the main connection's end */
    CONNECTION_EV_START,             /* a probe begins */
    CONNECTION_EV_TRYING,            /* there is no session, and an attempt runs or waits */
    CONNECTION_EV_ONLINE,            /* there is one; also told again when only its reason has changed */
    CONNECTION_EV_HANDSHAKE_FULL,    /* a handshake has succeeded, with the key */
    CONNECTION_EV_HANDSHAKE_RESUMED, /* ... or a ticket */
    CONNECTION_EV_ANNOUNCE,          /* it is to be announced anew */
    CONNECTION_EV_ANNOUNCED,
    CONNECTION_EV_ACCEPTED,     /* a message */
    CONNECTION_EV_REFUSED,      /* a message, with an answer that means the key */
    CONNECTION_EV_UNPROVED,     /* the proof came to nothing */
    CONNECTION_EV_KEY_REFUSED,  /* in a full handshake */
    CONNECTION_EV_UNREACHABLE,  /* an attempt found nobody */
    CONNECTION_EV_FAILED,       /* an attempt failed, which says nothing of the key */
    CONNECTION_EV_LOCAL_FAILED, /* our side is at fault */
    CONNECTION_EV_NEW_KEY,      /* main is another key */
    CONNECTION_EV_ADOPT,        /* the probe's key became main: its connection is the device's */
    CONNECTION_EV_LEAVE,        /* another connection is the device's, and nothing is under way on this one */
    CONNECTION_EV_LEAVE_BUSY,   /* ... and a request is */
    CONNECTION_EV_DRAINED,      /* that request has ended */
    CONNECTION_EV_DROP,         /* nobody needs its result */
    CONNECTION_EV_ABORT,        /* it ends, with a result if one is owed */
    CONNECTION_EV_STOPPED,      /* the session has ended for good */
};
#define CONNECTION_EVENTS (CONNECTION_EV_STOPPED + 1)

/* Sets of these; carried out in this order. */
enum connection_action {
    CONNECTION_DO_END = 1 << 0,          /* every subscription is gone */
    CONNECTION_DO_FORGET_PROOF = 1 << 1, /* it is of another key */
    CONNECTION_DO_CLOSE = 1 << 2,        /* ends the session and frees the connection */
    CONNECTION_DO_NOTE = 1 << 3,         /* the key was accepted just now */
    CONNECTION_TELL_ACCEPTED = 1 << 4,   /* the verdict on the key, to whoever waits for it */
    CONNECTION_TELL_REFUSED = 1 << 5,
    CONNECTION_TELL_UNREACHABLE = 1 << 6,
    CONNECTION_TELL_LOCAL = 1 << 7,
    CONNECTION_TELL_CANCELLED = 1 << 8,
    CONNECTION_DO_GREET = 1 << 9, /* announces, listens, sends */
    CONNECTION_DO_KICK = 1 << 10, /* requests may be made */
    CONNECTION_DO_PROVE = 1 << 11,
    CONNECTION_DO_RENEW = 1 << 12, /* a fresh handshake, now */
    CONNECTION_DO_RENEW_LATER = 1 << 13,
};
#define CONNECTION_TELLS                                                                                               \
    (CONNECTION_TELL_ACCEPTED | CONNECTION_TELL_REFUSED | CONNECTION_TELL_UNREACHABLE | CONNECTION_TELL_LOCAL |        \
     CONNECTION_TELL_CANCELLED)

struct connection_state {
    enum connection_role role;
    enum connection_phase phase;
    bool unproven; /* a full handshake, and no accepted message since */
    bool awaits;   /* set by the caller at a handshake: what this server acknowledges it may have dropped, so that
                      nothing is sent while it is unproven */
};

/* Returns the actions. */
unsigned connection_step(struct connection_state *s, enum connection_event event);
/* Whether the device has a session on it. */
bool connection_online(const struct connection_state *s);
/* Whether nothing that is acknowledged counts yet. */
bool connection_blocked(const struct connection_state *s);
/* Whether somebody waits for the result of a probe. */
bool connection_owes(const struct connection_state *s);
const char *connection_phase_name(enum connection_phase phase);
