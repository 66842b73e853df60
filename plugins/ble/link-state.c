/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "link-state.h"

static enum link_state begin(bool resolved, enum link_action *ret)
{
    if (!resolved)
        return LINK_RESOLVING;
    *ret = LINK_DO_BEGIN;
    return LINK_READY;
}

static enum link_state connected(bool pairs, bool resolved, enum link_action *ret)
{
    if (!pairs)
        return begin(resolved, ret);
    *ret = LINK_DO_PAIR;
    return LINK_PAIRING;
}

static bool open_or_opening(enum link_state state)
{
    return state >= LINK_CONNECTING;
}

enum link_state link_next(enum link_state state, enum link_event event, bool pairs, bool resolved,
                          enum link_action *ret)
{
    *ret = LINK_DO_NOTHING;
    switch (event) {
    case LINK_EV_WANTED:
        return state == LINK_IDLE ? LINK_WAITING : state;
    case LINK_EV_UNWANTED:
        if (open_or_opening(state))
            *ret = LINK_DO_CLOSE;
        return LINK_IDLE;
    case LINK_EV_TURN:
        if (state != LINK_WAITING)
            return state;
        *ret = LINK_DO_CONNECT;
        return LINK_CONNECTING;
    case LINK_EV_CONNECTED:
        return state == LINK_CONNECTING ? connected(pairs, resolved, ret) : state;
    case LINK_EV_PAIRED:
        return state == LINK_PAIRING ? begin(resolved, ret) : state;
    case LINK_EV_RESOLVED:
        return state == LINK_RESOLVING ? begin(true, ret) : state;
    case LINK_EV_FAILED:
        if (!open_or_opening(state))
            return state;
        *ret = LINK_DO_DISCONNECT;
        return LINK_WAITING;
    case LINK_EV_LOST:
        if (!open_or_opening(state))
            return state;
        *ret = LINK_DO_PAUSE;
        return LINK_WAITING;
    case LINK_EVENTS:
        break;
    }
    return state;
}

const char *link_state_word(enum link_state state)
{
    static const char *const words[LINK_STATES] = {"idle", "waiting", "connecting", "pairing", "resolving", "ready"};

    return words[state];
}
