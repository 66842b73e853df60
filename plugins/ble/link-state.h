/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The connection to one sensor. A table; pure.
 *
 *   IDLE        none, and none is wanted
 *   WAITING     wanted: the adapter's turn, or the pause after a failure, is waited for
 *   CONNECTING  the adapter makes it
 *   PAIRING
 *   RESOLVING   BlueZ learns its services
 *   READY */

#include <stdbool.h>

enum link_state {
    LINK_IDLE,
    LINK_WAITING,
    LINK_CONNECTING,
    LINK_PAIRING,
    LINK_RESOLVING,
    LINK_READY,
    LINK_STATES,
};

enum link_event {
    LINK_EV_WANTED,
    LINK_EV_UNWANTED,
    LINK_EV_TURN, /* the adapter is ours */
    LINK_EV_CONNECTED,
    LINK_EV_PAIRED,
    LINK_EV_RESOLVED,
    LINK_EV_FAILED, /* a call, or a deadline */
    LINK_EV_LOST,   /* disconnected, or its adapter went */
    LINK_EVENTS,
};

enum link_action {
    LINK_DO_NOTHING,
    LINK_DO_CONNECT,
    LINK_DO_PAIR,
    LINK_DO_BEGIN,      /* subscribe, read, write */
    LINK_DO_DISCONNECT, /* and pause before the next try */
    LINK_DO_PAUSE,
    LINK_DO_CLOSE, /* disconnect; nothing more is wanted */
};

/* `pairs`: it is to be paired, and is not yet. `resolved`: its services are known already. */
enum link_state link_next(enum link_state state, enum link_event event, bool pairs, bool resolved,
                          enum link_action *ret);
const char *link_state_word(enum link_state state);
