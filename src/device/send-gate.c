/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "device/send-gate.h"

static enum send_answer of_connection(const struct send_facts *f)
{
    switch (f->phase) {
    case CONNECTION_READY:
        break;
    case CONNECTION_ANNOUNCING:
        return SEND_ANNOUNCING;
    case CONNECTION_PROVING:
        return SEND_PROVING;
    case CONNECTION_CLOSED:
    case CONNECTION_CONNECTING:
    case CONNECTION_DRAINING:
        return SEND_NO_SESSION;
    }
    return SEND_NOW;
}

enum send_answer send_gate(const struct send_facts *f)
{
    enum send_answer answer;

    if (f->removed)
        return SEND_REMOVED;
    if (f->excluded)
        return SEND_KEY_TRIED;
    if (f->under_way)
        return SEND_UNDER_WAY;
    if (f->paused)
        return SEND_RELOADING;
    if (!f->waits)
        return SEND_NOTHING;
    answer = of_connection(f);
    if (answer != SEND_NOW)
        return answer;
    if (f->undated)
        return SEND_NO_CLOCK;
    return f->later ? SEND_LATER : SEND_NOW;
}

const char *send_answer_name(enum send_answer answer)
{
    switch (answer) {
    case SEND_NOW:
        return "now";
    case SEND_NOTHING:
        return "nothing-waits";
    case SEND_NO_SESSION:
        return "no-session";
    case SEND_ANNOUNCING:
        return "announcing";
    case SEND_PROVING:
        return "proving";
    case SEND_KEY_TRIED:
        return "key-tried";
    case SEND_REMOVED:
        return "removed";
    case SEND_RELOADING:
        return "reloading";
    case SEND_UNDER_WAY:
        return "under-way";
    case SEND_LATER:
        return "later";
    case SEND_NO_CLOCK:
        return "no-clock";
    }
    return "";
}
