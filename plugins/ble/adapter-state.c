/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "adapter-state.h"

/* The event's own effect; what is wanted is looked at afterwards. NO: the event means nothing then. */
#define NO ADAPTER_STATES

static const enum adapter_state table[ADAPTER_STATES][ADAPTER_EVENTS] = {
    [ADAPTER_ABSENT] = {[ADAPTER_EV_APPEARED] = ADAPTER_OFF, NO, NO, NO, NO, NO, NO, NO, NO, NO},
    [ADAPTER_BLOCKED] = {ADAPTER_OFF, ADAPTER_ABSENT, ADAPTER_READY, NO, ADAPTER_BLOCKED, NO, NO, NO, NO,
                         ADAPTER_BLOCKED},
    [ADAPTER_OFF] = {NO, ADAPTER_ABSENT, ADAPTER_READY, ADAPTER_OFF, ADAPTER_BLOCKED, NO, NO, NO, NO, ADAPTER_OFF},
    [ADAPTER_READY] = {NO, ADAPTER_ABSENT, ADAPTER_READY, ADAPTER_OFF, ADAPTER_BLOCKED, NO, NO, NO, NO, ADAPTER_READY},
    [ADAPTER_STARTING] = {NO, ADAPTER_ABSENT, NO, ADAPTER_OFF, ADAPTER_BLOCKED, ADAPTER_SCANNING, ADAPTER_READY, NO, NO,
                          NO},
    [ADAPTER_SCANNING] = {NO, ADAPTER_ABSENT, NO, ADAPTER_OFF, ADAPTER_BLOCKED, NO, ADAPTER_READY, NO, NO,
                          ADAPTER_SCANNING},
    [ADAPTER_STOPPING] = {NO, ADAPTER_ABSENT, NO, ADAPTER_OFF, ADAPTER_BLOCKED, NO, ADAPTER_READY, ADAPTER_READY, NO,
                          NO},
    [ADAPTER_REGISTERING] = {NO, ADAPTER_ABSENT, NO, ADAPTER_OFF, ADAPTER_BLOCKED, ADAPTER_LISTENING, ADAPTER_READY, NO,
                             NO, NO},
    [ADAPTER_LISTENING] = {NO, ADAPTER_ABSENT, NO, ADAPTER_OFF, ADAPTER_BLOCKED, NO, ADAPTER_READY, NO, NO,
                           ADAPTER_LISTENING},
    [ADAPTER_UNREGISTERING] = {NO, ADAPTER_ABSENT, NO, ADAPTER_OFF, ADAPTER_BLOCKED, NO, ADAPTER_READY, ADAPTER_READY,
                               NO, NO},
    [ADAPTER_CONNECTING] = {NO, ADAPTER_ABSENT, NO, ADAPTER_OFF, ADAPTER_BLOCKED, NO, NO, NO, ADAPTER_READY, NO},
};

static enum adapter_state go_on(enum adapter_state state, struct adapter_wants wants, enum adapter_action *ret)
{
    switch (state) {
    case ADAPTER_ABSENT:
    case ADAPTER_STARTING:
    case ADAPTER_STOPPING:
    case ADAPTER_REGISTERING:
    case ADAPTER_UNREGISTERING:
    case ADAPTER_CONNECTING:
    case ADAPTER_STATES:
        return state;
    case ADAPTER_BLOCKED:
    case ADAPTER_OFF:
        if (wants.power)
            *ret = ADAPTER_DO_POWER;
        return state;
    case ADAPTER_READY:
        if (wants.connect) {
            *ret = ADAPTER_DO_CONNECT;
            return ADAPTER_CONNECTING;
        }
        if (wants.scan) {
            *ret = wants.passive ? ADAPTER_DO_REGISTER : ADAPTER_DO_START;
            return wants.passive ? ADAPTER_REGISTERING : ADAPTER_STARTING;
        }
        return state;
    case ADAPTER_SCANNING:
        if (wants.connect || !wants.scan || wants.passive) {
            *ret = ADAPTER_DO_STOP;
            return ADAPTER_STOPPING;
        }
        return state;
    case ADAPTER_LISTENING:
        if (wants.connect || !wants.scan || !wants.passive) {
            *ret = ADAPTER_DO_UNREGISTER;
            return ADAPTER_UNREGISTERING;
        }
        return state;
    }
    return state;
}

enum adapter_state adapter_next(enum adapter_state state, enum adapter_event event, struct adapter_wants wants,
                                enum adapter_action *ret)
{
    enum adapter_state next = table[state][event];

    *ret = ADAPTER_DO_NOTHING;
    return next == NO ? state : go_on(next, wants, ret);
}

const char *adapter_state_name(enum adapter_state state)
{
    static const char *const names[ADAPTER_STATES] = {"absent",    "blocked",       "off",       "ready",
                                                      "starting",  "scanning",      "stopping",  "registering",
                                                      "listening", "unregistering", "connecting"};

    return names[state];
}
