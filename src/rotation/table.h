/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The table of the rotation: for a state and an event the first row whose facts hold says what is committed, and what
 * is done once that is durable. Read by machine.c, by the checker, and by whoever reads the manual page. Pure. */

#include "rotation/machine.h"

#include <stdio.h>

/* Facts of the moment that a row may require. */
enum rotation_fact {
    /* the registrar */
    FACT_REPLACES = 1u << 0,
    FACT_MANUAL = 1u << 1,
    FACT_LOOKS = 1u << 2,
    FACT_OUT_OF_BAND = 1u << 3,
    /* the durable part */
    FACT_MAIN = 1u << 4,
    FACT_BACKUP = 1u << 5,
    FACT_HAS_ID = 1u << 6, /* the cloud's id of the credential to be deleted is known */
    FACT_WANTED = 1u << 7,
    FACT_REMOVING = 1u << 8,
    FACT_CONFLICT = 1u << 9,
    /* evidence */
    FACT_SETTLED = 1u << 10,
    FACT_PROVED = 1u << 11,         /* main passed within ROTATION_RETIRE_PROOF_AGE, or the device is being removed */
    FACT_RETIRE_DUE = 1u << 12,     /* retire_after is over, or somebody asked */
    FACT_MAIN_REFUSED = 1u << 13,   /* two fresh full handshakes in a row were answered with no */
    FACT_BACKUP_REFUSED = 1u << 14, /* likewise */
    FACT_PROBES_SPENT = 1u << 15,   /* ROTATION_REFUSED_PROBES of these over ROTATION_REFUSED_PROBES_SPAN */
    FACT_HOPELESS = 1u << 16,       /* the new key is to be given up */
    FACT_ABSENT = 1u << 17,
    FACT_FALLBACK = 1u << 18, /* the last one is ROTATION_FALLBACK_INTERVAL ago */
    FACT_PROBE_TURN = 1u << 19,
    FACT_PROMOTE = 1u << 20,
    /* the event */
    FACT_COMPROMISED = 1u << 21,
    FACT_SCHEDULED = 1u << 22,
    FACT_CONFIRMED = 1u << 23,
    FACT_ID = 1u << 24,      /* it brings the cloud's id */
    FACT_BUSY = 1u << 25,    /* a request is in flight */
    FACT_UNDATED = 1u << 26, /* main's age can be written down only now */
    /* a fallback, and what forbids one */
    FACT_FALLEN = 1u << 27,    /* backup was main until main was refused */
    FACT_SUCCESSOR = 1u << 28, /* backup is the key before main, and known to others */
    FACT_DETACHED = 1u << 29,  /* the device is being removed, and its deletions need none of its keys */
};
#define ROTATION_FACTS 30

/* Flags of the durable part that a row sets or clears; what the change itself implies is not repeated. */
enum rotation_flag {
    FLAG_COMPROMISED = 1u << 0,
    FLAG_WANTED = 1u << 1,
    FLAG_RETIRE_NOW = 1u << 2,
    FLAG_GIVE_UP = 1u << 3,
    FLAG_REMOVING = 1u << 4,
    FLAG_CONFLICT = 1u << 5,
    FLAG_FALLEN = 1u << 6,
};

/* Done in this order, after the commit if the row has one. */
enum rotation_send {
    SEND_CLOSE_OLD = 1u << 0,
    SEND_DONE = 1u << 1,
    SEND_ABANDONED = 1u << 2,
    SEND_REMOVED = 1u << 3,
    SEND_FINE = 1u << 4, /* reports */
    SEND_REFUSED = 1u << 5,
    SEND_CONFLICT = 1u << 6,
    SEND_REPLY = 1u << 7,
    SEND_OFFER = 1u << 8, /* requests */
    SEND_FIND = 1u << 9,
    SEND_PROBE = 1u << 10,
    SEND_VERIFY = 1u << 11,
    SEND_DELETE = 1u << 12,
    SEND_LEFT = 1u << 13,      /* report: removed here, left at the cloud */
    SEND_FELL_BACK = 1u << 14, /* what happened to the roles, for the journal */
    SEND_FORWARD = 1u << 15,
};

/* When the machine looks again. */
enum rotation_delay {
    DELAY_NONE,
    DELAY_AGAIN,    /* at once */
    DELAY_RETRY,    /* ROTATION_RETRY_MIN, doubled with each failure up to ROTATION_RETRY_MAX */
    DELAY_HOURLY,   /* ROTATION_MANUAL_PROBE_INTERVAL */
    DELAY_RETIRE,   /* when the old key is due to retire */
    DELAY_SETTLE,   /* when nothing can arrive late any more */
    DELAY_FALLBACK, /* when a fallback is allowed again */
};

#define STATE_BIT(s) (1u << (s))

struct rotation_row {
    uint8_t states; /* STATE_BIT of each it is for */
    enum rotation_event_type event;
    uint32_t with, without; /* facts that must hold, and that must not */
    enum rotation_change_type change;
    enum rotation_state to; /* after the commit; ROTATION_STATES: the same state. Without a change nothing is entered */
    uint8_t set, clear;
    uint16_t send;
    enum rotation_delay delay;
    int reply;
    const char *text; /* why; goes with the reply and the outcome */
};

extern const struct rotation_row rotation_table[];
extern const size_t rotation_table_rows;

/* The first row that fits, or NULL: nothing is to be done. */
const struct rotation_row *rotation_table_find(enum rotation_state state, enum rotation_event_type event,
                                               uint32_t facts);

/* As text for the manual page, a paragraph a state. */
void rotation_print_table(FILE *f);
