/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "base/cleanup.h"
#include "rotation/table.h"

#include <string.h>

static const char *const state_names[ROTATION_STATES] = {
    [ROTATION_IDLE] = "idle",
    [ROTATION_STAGED] = "staged",
    [ROTATION_OFFERED] = "offered",
    [ROTATION_PROBING] = "probing",
    [ROTATION_SWAPPED] = "swapped",
    [ROTATION_RETIRING] = "retiring",
    [ROTATION_ABANDONING] = "abandoning",
};

static const char *const event_names[ROTATION_EVENTS] = {
    [ROTATION_EV_RESTART] = "restart",
    [ROTATION_EV_TIMER] = "timer",
    [ROTATION_EV_COMMITTED] = "committed",
    [ROTATION_EV_COMMIT_FAILED] = "commit-failed",
    [ROTATION_EV_OFFER_OK] = "offer-ok",
    [ROTATION_EV_OFFER_CONFLICT] = "offer-conflict",
    [ROTATION_EV_OFFER_INVALID] = "offer-invalid",
    [ROTATION_EV_OFFER_RETRY] = "offer-retry",
    [ROTATION_EV_FOUND] = "found",
    [ROTATION_EV_ABSENT] = "absent",
    [ROTATION_EV_FIND_RETRY] = "find-retry",
    [ROTATION_EV_PROBE_ACCEPTED] = "probe-accepted",
    [ROTATION_EV_PROBE_REFUSED] = "probe-refused",
    [ROTATION_EV_PROBE_UNREACHABLE] = "probe-unreachable",
    [ROTATION_EV_PROBE_LOCAL] = "probe-local",
    [ROTATION_EV_VERIFY_ACCEPTED] = "verify-accepted",
    [ROTATION_EV_VERIFY_REFUSED] = "verify-refused",
    [ROTATION_EV_VERIFY_UNREACHABLE] = "verify-unreachable",
    [ROTATION_EV_VERIFY_LOCAL] = "verify-local",
    [ROTATION_EV_DELETE_OK] = "delete-ok",
    [ROTATION_EV_DELETE_RETRY] = "delete-retry",
    [ROTATION_EV_MAIN_ACCEPTED] = "main-accepted",
    [ROTATION_EV_MAIN_REFUSED] = "main-refused",
    [ROTATION_EV_MAIN_UNREACHABLE] = "main-unreachable",
    [ROTATION_EV_ROTATE] = "rotate",
    [ROTATION_EV_SET_MAIN] = "set-main",
    [ROTATION_EV_SET_BACKUP] = "set-backup",
    [ROTATION_EV_FORGET_MAIN] = "forget-main",
    [ROTATION_EV_FORGET_BACKUP] = "forget-backup",
    [ROTATION_EV_PROMOTE] = "promote",
    [ROTATION_EV_EXPORT] = "export",
    [ROTATION_EV_CONNECT] = "connect",
    [ROTATION_EV_REMOVE] = "remove",
};

static const char *const fact_names[ROTATION_FACTS] = {
    "registrar replaces",
    "registrar manual",
    "registrar looks",
    "out of band",
    "main set",
    "backup set",
    "cloud id known",
    "rotate wanted",
    "device removed",
    "conflict stands",
    "settled",
    "main proved",
    "retirement due",
    "main refused",
    "backup refused",
    "probes spent",
    "hopeless",
    "absent",
    "fallback allowed",
    "turn of a probe",
    "promote asked",
    "compromised",
    "scheduled",
    "confirmed",
    "brings an id",
    "a request in flight",
    "main undated",
    "fallen back",
    "main succeeds a compromised key",
    "removed by another login",
};

static const char *const flag_names[] = {"compromised", "wanted",   "retire-now", "give-up",
                                         "removing",    "conflict", "fallen"};

static const char *const change_names[] = {
    [ROTATION_CHANGE_NONE] = "",
    [ROTATION_CHANGE_STATE] = "",
    [ROTATION_CHANGE_STAGE] = "new key into backup",
    [ROTATION_CHANGE_SET_MAIN] = "given key into main",
    [ROTATION_CHANGE_SET_BACKUP] = "given key into backup",
    [ROTATION_CHANGE_CLOUD_ID] = "the cloud's id",
    [ROTATION_CHANGE_SWAP] = "roles exchanged",
    [ROTATION_CHANGE_FORGET_MAIN] = "main forgotten",
    [ROTATION_CHANGE_FORGET_BACKUP] = "backup forgotten",
    [ROTATION_CHANGE_FORGET_ALL] = "both forgotten",
};

static const char *const send_names[] = {
    "close old session",
    "finished: done",
    "finished: abandoned",
    "finished: removed",
    "report fine",
    "report refused",
    "report conflict",
    "reply",
    "offer",
    "find",
    "probe",
    "verify main",
    "delete",
    "report left",
    "tell: fell back",
    "tell: went forward",
};

static const char *const delay_names[] = {
    [DELAY_NONE] = "",
    [DELAY_AGAIN] = "look again",
    [DELAY_RETRY] = "wait, then look again",
    [DELAY_HOURLY] = "look again in an hour",
    [DELAY_RETIRE] = "wait for retire_after",
    [DELAY_SETTLE] = "wait until settled",
    [DELAY_FALLBACK] = "wait until a fallback is allowed",
};

const char *rotation_state_name(enum rotation_state s)
{
    return s < ROTATION_STATES ? state_names[s] : "?";
}

const char *rotation_shown_state(const struct rotation_durable *d)
{
    return d->fallen && d->state == ROTATION_OFFERED ? "fallen-back" : rotation_state_name(d->state);
}

const char *rotation_event_name(enum rotation_event_type t)
{
    return t < ROTATION_EVENTS ? event_names[t] : "?";
}

const char *rotation_outcome_name(enum rotation_outcome o)
{
    switch (o) {
    case ROTATION_DONE:
        return "done";
    case ROTATION_ABANDONED:
        return "abandoned";
    case ROTATION_REMOVED:
        return "removed";
    }
    return "?";
}

static void print_bits(FILE *f, uint32_t bits, const char *const *names, size_t n, const char *before,
                       const char *between)
{
    for (size_t i = 0; i < n; i++) {
        if (!(bits & 1u << i))
            continue;
        fprintf(f, "%s%s", before, names[i]);
        before = between;
    }
}

static void print_row(FILE *f, const struct rotation_row *row)
{
    fprintf(f, "  %s", rotation_event_name(row->event));
    print_bits(f, row->with, fact_names, ELEMENTSOF(fact_names), " if ", ", ");
    print_bits(f, row->without, fact_names, ELEMENTSOF(fact_names), row->with ? ", not " : " if not ", ", not ");
    fputc(':', f);
    if (row->change != ROTATION_CHANGE_NONE) {
        fprintf(f, " COMMIT");
        if (change_names[row->change][0])
            fprintf(f, " %s", change_names[row->change]);
        if (row->to != ROTATION_STATES)
            fprintf(f, " -> %s", rotation_state_name(row->to));
        print_bits(f, row->set, flag_names, ELEMENTSOF(flag_names), " +", " +");
        print_bits(f, row->clear, flag_names, ELEMENTSOF(flag_names), " -", " -");
        if (row->send || row->delay != DELAY_NONE)
            fputc(';', f);
    }
    print_bits(f, row->send, send_names, ELEMENTSOF(send_names), " ", ", ");
    if (row->send & SEND_REPLY && row->reply < 0)
        fprintf(f, " (%s)", strerrorname_np(-row->reply));
    if (row->delay != DELAY_NONE)
        fprintf(f, "%s %s", row->send ? ";" : "", delay_names[row->delay]);
    if (row->text)
        fprintf(f, "  [%s]", row->text);
    fputc('\n', f);
}

void rotation_print_table(FILE *f)
{
    for (unsigned s = 0; s < ROTATION_STATES; s++) {
        fprintf(f, "%s%s\n", s > 0 ? "\n" : "", state_names[s]);
        for (size_t i = 0; i < rotation_table_rows; i++)
            if (rotation_table[i].states & STATE_BIT(s))
                print_row(f, &rotation_table[i]);
    }
}
