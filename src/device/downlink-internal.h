/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Shared by downlink.c (receives commands and carries them out), outcome.c (remembers them, and reports their
 * outcomes) and report.c (answers a message with many of them as a whole). Nobody else includes this. Loop thread; all
 * belongs to the device's struct downlink. */

#include "device/internal.h"

#include <string.h>

struct report;

/* A source of the profile, being listened to. */
struct listening {
    struct downlink *downlink;
    size_t source;
    struct uplink_subscription *subscription;
    struct uplink_call *poll;
    sd_event_source *again; /* the next poll */
    struct report *report;  /* of the newest message, until it is sent; NULL: none */
    bool deaf;              /* it cannot be listened to, which has been said */
    uint8_t refused;        /* with this code, on this session; 0: it was not */
    char *words;            /* ... and with these words of the server's, quoted; NULL: none */
};

/* A command that was carried out, or is being. */
struct remembered {
    struct downlink *downlink;
    struct profile_command command; /* without its value; id NULL: none */
    char *value;                    /* as text; compared for one without an id */
    bool superseded;                /* by another one with the same id, or without one for the same point */
    bool ended;
    enum profile_outcome outcome;
    char *text;
    bool has_set;
    struct sample_value set;     /* what the device took */
    struct uplink_call *telling; /* the outcome is on its way to the cloud */
    bool untold;                 /* ... or has not arrived there, and is to be told again */
    unsigned tries;
};

struct downlink {
    struct device *device;
    struct running *running;
    unsigned n_running;
    struct remembered remembered[COMMANDS_REMEMBERED];
    unsigned next;
    bool waiting;                /* until the driver is connected nothing is listened to */
    sd_event_source *tell;       /* what is untold again */
    struct ratelimit heard;      /* messages with commands */
    struct ratelimit complaints; /* of what the cloud sends, and does not hear */
    size_t n_listening;
    struct listening listening[];
};

/* Whether it bears an id. */
static inline bool command_has_id(const struct profile_command *c)
{
    return strcmp(c->id, "null") != 0;
}

/* NULL: unknown. */
struct remembered *outcome_recall(struct downlink *l, const struct profile_command *c);
/* Whether `c`, with this value as text, is that command shown again. */
bool outcome_is_repeat(const struct remembered *m, const struct profile_command *c, const char *value);
/* A command that is going to be carried out. NULL: no memory. */
struct remembered *outcome_expect(struct downlink *l, const struct profile_command *c, const char *value);
/* Sets its outcome, which is sent until the cloud has it, up to OUTCOME_TRIES times. */
void outcome_is(struct remembered *m, enum profile_outcome outcome, const char *text, const struct sample_value *set);
/* Tells it (again), unless it is on its way: then beside that. */
void outcome_tell(struct remembered *m);
/* Sends the outcome of a command that was not carried out, and so is not remembered. */
void outcome_tell_once(struct device *d, const struct profile_command *command, enum profile_outcome outcome,
                       const char *text);
/* The session stands: what the cloud has not heard yet. */
void outcome_tell_untold(struct downlink *l);
/* Whether the cloud has not heard all yet. */
bool outcome_pending(const struct downlink *l);
void outcome_done(struct downlink *l);

/* report.c: a message of that source is going to be carried out; what an earlier one still waits for is nobody's
 * concern any more. -ENOMEM */
int report_begin(struct listening *at, const struct profile_commands *commands);
/* Adds what became of a write; others than those of the newest message are passed over. */
void report_result(struct downlink *l, const struct profile_command *c, enum profile_outcome outcome, const char *text);
/* All writes have been begun: sent now, or when the last of them ends. */
void report_begun(struct listening *at);
void report_drop(struct listening *at);
