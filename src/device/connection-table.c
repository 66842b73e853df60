/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "device/connection-table.h"

#include <stddef.h>

#define P(phase) (1u << CONNECTION_##phase)
#define ANY_PHASE ((1u << CONNECTION_PHASES) - 1)
#define WITHOUT (P(CLOSED) | P(CONNECTING))
#define WITH (P(ANNOUNCING) | P(PROVING) | P(READY))
#define PROBING (P(DRAINING) | P(CONNECTING) | P(PROVING))

enum target {
    TO_CLOSED = CONNECTION_CLOSED,
    TO_CONNECTING = CONNECTION_CONNECTING,
    TO_ANNOUNCING = CONNECTION_ANNOUNCING,
    TO_PROVING = CONNECTION_PROVING,
    TO_READY = CONNECTION_READY,
    TO_DRAINING = CONNECTION_DRAINING,
    STAYS,
    SETTLES, /* PROVING or READY, by whether it is blocked */
};

/* Conditions on the two marks, and what becomes of them. */
enum { IF_UNPROVEN = 1, IF_PROVEN = 2, IF_BLOCKED = 4, SET_UNPROVEN = 8, CLEAR_UNPROVEN = 16, CLEAR_AWAITS = 32 };

struct row {
    unsigned phases;
    enum connection_event event;
    unsigned marks;
    enum target to;
    unsigned actions;
};

/* An event that no row names leaves the connection as it is, and asks for nothing. */
static const struct row main_rows[] = {
    {ANY_PHASE, CONNECTION_EV_TRYING, CLEAR_AWAITS, TO_CONNECTING, 0},
    {WITHOUT, CONNECTION_EV_ONLINE, 0, TO_ANNOUNCING, CONNECTION_DO_GREET},
    /* Nothing was lost in between: another session beside it was tried, or the reason is over. */
    {WITH, CONNECTION_EV_ONLINE, 0, STAYS, CONNECTION_DO_KICK},
    {WITHOUT | P(ANNOUNCING), CONNECTION_EV_HANDSHAKE_FULL, SET_UNPROVEN, STAYS, CONNECTION_DO_PROVE},
    {P(PROVING) | P(READY), CONNECTION_EV_HANDSHAKE_FULL, SET_UNPROVEN, SETTLES, CONNECTION_DO_PROVE},
    {P(PROVING) | P(READY), CONNECTION_EV_HANDSHAKE_RESUMED, 0, SETTLES, 0},
    {WITH, CONNECTION_EV_ANNOUNCE, 0, TO_ANNOUNCING, 0},
    {P(ANNOUNCING), CONNECTION_EV_ANNOUNCED, 0, SETTLES, 0},
    {P(PROVING), CONNECTION_EV_ACCEPTED, IF_UNPROVEN | CLEAR_UNPROVEN, TO_READY,
     CONNECTION_DO_NOTE | CONNECTION_TELL_ACCEPTED | CONNECTION_DO_KICK},
    {ANY_PHASE, CONNECTION_EV_ACCEPTED, IF_UNPROVEN | CLEAR_UNPROVEN, STAYS,
     CONNECTION_DO_NOTE | CONNECTION_TELL_ACCEPTED | CONNECTION_DO_KICK},
    {ANY_PHASE, CONNECTION_EV_ACCEPTED, IF_PROVEN, STAYS, CONNECTION_DO_NOTE},
    /* A good handshake, and then a refusal: only another fresh one can show whether the cloud means it. */
    {ANY_PHASE, CONNECTION_EV_REFUSED, 0, STAYS, CONNECTION_TELL_REFUSED | CONNECTION_DO_RENEW_LATER},
    /* Where samples wait for it, another connection has to try again; otherwise the next handshake or sample proves it.
     */
    {ANY_PHASE, CONNECTION_EV_UNPROVED, IF_BLOCKED, STAYS, CONNECTION_DO_RENEW_LATER},
    {ANY_PHASE, CONNECTION_EV_KEY_REFUSED, 0, STAYS, CONNECTION_TELL_REFUSED},
    {ANY_PHASE, CONNECTION_EV_UNREACHABLE, 0, STAYS, CONNECTION_TELL_UNREACHABLE},
    /* The worth of the old key says nothing of the new one. */
    {ANY_PHASE, CONNECTION_EV_NEW_KEY, 0, STAYS, CONNECTION_DO_FORGET_PROOF | CONNECTION_DO_RENEW},
    {ANY_PHASE, CONNECTION_EV_LEAVE, 0, TO_CLOSED, CONNECTION_DO_FORGET_PROOF | CONNECTION_DO_CLOSE},
    {ANY_PHASE, CONNECTION_EV_LEAVE_BUSY, 0, TO_DRAINING, CONNECTION_DO_FORGET_PROOF},
    {ANY_PHASE, CONNECTION_EV_STOPPED, CLEAR_AWAITS, TO_CLOSED, CONNECTION_DO_END},
};

static const struct row probe_rows[] = {
    {P(CLOSED), CONNECTION_EV_WAIT, 0, TO_DRAINING, 0},
    {P(CLOSED) | P(DRAINING), CONNECTION_EV_START, 0, TO_CONNECTING, 0},
    {P(CONNECTING), CONNECTION_EV_HANDSHAKE_FULL, 0, TO_PROVING, CONNECTION_DO_PROVE},
    {P(CONNECTING), CONNECTION_EV_HANDSHAKE_RESUMED, 0, TO_PROVING, CONNECTION_DO_PROVE},
    {P(PROVING), CONNECTION_EV_ACCEPTED, 0, TO_READY, CONNECTION_TELL_ACCEPTED},
    {P(PROVING), CONNECTION_EV_REFUSED, 0, TO_CLOSED, CONNECTION_DO_CLOSE | CONNECTION_TELL_REFUSED},
    {P(PROVING), CONNECTION_EV_UNPROVED, 0, TO_CLOSED, CONNECTION_DO_CLOSE | CONNECTION_TELL_UNREACHABLE},
    {P(CONNECTING) | P(PROVING), CONNECTION_EV_KEY_REFUSED, 0, TO_CLOSED,
     CONNECTION_DO_CLOSE | CONNECTION_TELL_REFUSED},
    {P(CONNECTING) | P(PROVING), CONNECTION_EV_UNREACHABLE, 0, TO_CLOSED,
     CONNECTION_DO_CLOSE | CONNECTION_TELL_UNREACHABLE},
    {P(CONNECTING) | P(PROVING), CONNECTION_EV_FAILED, 0, TO_CLOSED, CONNECTION_DO_CLOSE | CONNECTION_TELL_UNREACHABLE},
    {PROBING, CONNECTION_EV_LOCAL_FAILED, 0, TO_CLOSED, CONNECTION_DO_CLOSE | CONNECTION_TELL_LOCAL},
    {P(CONNECTING) | P(PROVING), CONNECTION_EV_STOPPED, 0, TO_CLOSED,
     CONNECTION_DO_CLOSE | CONNECTION_TELL_UNREACHABLE},
    {P(READY), CONNECTION_EV_STOPPED, 0, TO_CLOSED, 0},
    {PROBING, CONNECTION_EV_ABORT, 0, TO_CLOSED, CONNECTION_DO_CLOSE | CONNECTION_TELL_CANCELLED},
    {P(CLOSED) | P(READY), CONNECTION_EV_ABORT, 0, TO_CLOSED, CONNECTION_DO_CLOSE},
    {ANY_PHASE, CONNECTION_EV_DROP, 0, TO_CLOSED, CONNECTION_DO_CLOSE},
    {P(READY), CONNECTION_EV_ADOPT, CLEAR_UNPROVEN, TO_ANNOUNCING, CONNECTION_DO_GREET},
    {P(CLOSED), CONNECTION_EV_ADOPT, CLEAR_UNPROVEN, STAYS, 0},
};

static const struct row leaving_rows[] = {
    {ANY_PHASE, CONNECTION_EV_DRAINED, 0, TO_CLOSED, CONNECTION_DO_CLOSE},
    {P(DRAINING), CONNECTION_EV_STOPPED, 0, TO_CLOSED, 0},
};

static const struct {
    const struct row *rows;
    size_t n;
} tables[] = {
    [CONNECTION_MAIN] = {main_rows, sizeof(main_rows) / sizeof(*main_rows)},
    [CONNECTION_PROBE] = {probe_rows, sizeof(probe_rows) / sizeof(*probe_rows)},
    [CONNECTION_LEAVING] = {leaving_rows, sizeof(leaving_rows) / sizeof(*leaving_rows)},
};

bool connection_online(const struct connection_state *s)
{
    return s->role == CONNECTION_MAIN && (1u << s->phase & WITH);
}

bool connection_blocked(const struct connection_state *s)
{
    return s->role == CONNECTION_MAIN && s->unproven && s->awaits;
}

bool connection_owes(const struct connection_state *s)
{
    return s->role == CONNECTION_PROBE && (1u << s->phase & PROBING);
}

static bool fits(const struct row *row, const struct connection_state *s, enum connection_event event)
{
    return row->event == event && (row->phases & 1u << s->phase) && (!(row->marks & IF_UNPROVEN) || s->unproven) &&
           (!(row->marks & IF_PROVEN) || !s->unproven) && (!(row->marks & IF_BLOCKED) || connection_blocked(s));
}

static enum connection_role role_after(enum connection_role role, enum connection_event event)
{
    if (role == CONNECTION_PROBE && event == CONNECTION_EV_ADOPT)
        return CONNECTION_MAIN;
    if (role == CONNECTION_MAIN && (event == CONNECTION_EV_LEAVE || event == CONNECTION_EV_LEAVE_BUSY))
        return CONNECTION_LEAVING;
    return role;
}

static void take(const struct row *row, struct connection_state *s, enum connection_event event)
{
    if (row->marks & SET_UNPROVEN)
        s->unproven = true;
    if (row->marks & CLEAR_UNPROVEN)
        s->unproven = false;
    if (row->marks & CLEAR_AWAITS)
        s->awaits = false;
    if (row->to == SETTLES)
        s->phase = connection_blocked(s) ? CONNECTION_PROVING : CONNECTION_READY;
    else if (row->to != STAYS)
        s->phase = (enum connection_phase)row->to;
    s->role = role_after(s->role, event);
}

unsigned connection_step(struct connection_state *s, enum connection_event event)
{
    for (size_t i = 0; i < tables[s->role].n; i++) {
        const struct row *row = &tables[s->role].rows[i];

        if (!fits(row, s, event))
            continue;
        take(row, s, event);
        return row->actions;
    }
    return 0;
}

const char *connection_phase_name(enum connection_phase phase)
{
    switch (phase) {
    case CONNECTION_CLOSED:
        return "closed";
    case CONNECTION_CONNECTING:
        return "connecting";
    case CONNECTION_ANNOUNCING:
        return "announcing";
    case CONNECTION_PROVING:
        return "proving";
    case CONNECTION_READY:
        return "ready";
    case CONNECTION_DRAINING:
        return "draining";
    }
    return "";
}
