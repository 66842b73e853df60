/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The state of an adapter, and what it is to do next. A table; pure.
 *
 *   ABSENT      unplugged, or bluetoothd is away
 *   BLOCKED     rfkill
 *   OFF         not powered; asked to go on now and then
 *   READY       powered; neither scans nor connects
 *   STARTING    a discovery is being begun
 *   SCANNING
 *   STOPPING    a discovery is being ended, to connect, to listen passively or because nobody wants it
 *   REGISTERING, LISTENING, UNREGISTERING
 *               the same three of a passive scan, which is an advertisement monitor at BlueZ
 *   CONNECTING  a connection is being made: nothing is scanned meanwhile, since an adapter that does both aborts one */

#include <stdbool.h>

enum adapter_state {
    ADAPTER_ABSENT,
    ADAPTER_BLOCKED,
    ADAPTER_OFF,
    ADAPTER_READY,
    ADAPTER_STARTING,
    ADAPTER_SCANNING,
    ADAPTER_STOPPING,
    ADAPTER_REGISTERING,
    ADAPTER_LISTENING,
    ADAPTER_UNREGISTERING,
    ADAPTER_CONNECTING,
    ADAPTER_STATES,
};

enum adapter_event {
    ADAPTER_EV_APPEARED,
    ADAPTER_EV_GONE,
    ADAPTER_EV_POWERED,
    ADAPTER_EV_UNPOWERED,
    ADAPTER_EV_BLOCKED,
    ADAPTER_EV_STARTED,   /* the discovery runs, the monitor is active */
    ADAPTER_EV_FAILED,    /* it could not begin, or ended by itself; also: a call that was to end it failed */
    ADAPTER_EV_STOPPED,   /* it ended because we said so */
    ADAPTER_EV_CONNECTED, /* the connection is made, or is not going to be */
    ADAPTER_EV_LOOK,      /* something is wanted, or no longer; a pause is over */
    ADAPTER_EVENTS,
};

enum adapter_action {
    ADAPTER_DO_NOTHING,
    ADAPTER_DO_POWER, /* ask it to go on */
    ADAPTER_DO_START, /* a discovery */
    ADAPTER_DO_STOP,
    ADAPTER_DO_REGISTER, /* a monitor */
    ADAPTER_DO_UNREGISTER,
    ADAPTER_DO_CONNECT, /* to the next that wants to be */
};

/* The wishes at this moment. */
struct adapter_wants {
    bool scan, connect, power;
    bool passive; /* how it is to scan */
};

/* The state after the event, and what is to be done. */
enum adapter_state adapter_next(enum adapter_state state, enum adapter_event event, struct adapter_wants wants,
                                enum adapter_action *ret);
const char *adapter_state_name(enum adapter_state state);
