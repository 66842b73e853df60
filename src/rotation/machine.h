/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The rotation of one device's key on one uplink: a pure state machine. Events in, actions out; no I/O, no clock (each
 * event brings its time), no memory of its own: struct rotation is a value that may be copied and compared.
 *
 * The promise: a key is forgotten only if it was never offered, or after the cloud confirmed its deletion (a registrar
 * that replaces confirms by accepting the new key). So whatever the cloud accepts, the agent holds. Beside that the
 * operator may insist, so that keys which were mistyped are no dead end: on another main when the cloud refuses it, and
 * on forgetting or replacing backup when the cloud refuses both, or when he is the only one who can have told it.
 *
 *   IDLE        main alone.
 *   STAGED      a new key is in backup. Not a byte of it was sent.
 *   OFFERED     the cloud may know the new key. Only here is it offered, and always the same one.
 *   PROBING     the registrar took it; backup is tried with a fresh full handshake and one accepted message.
 *   SWAPPED     roles are exchanged: main is the new key, backup the old one.
 *   RETIRING    the old credential is being deleted at the cloud.
 *   ABANDONING  the new credential was refused for good and is being deleted at the cloud.
 *
 * Every durable step is one action COMMIT holding the change of the vault and the next durable part, to be stored in
 * one transaction. Until it is answered by COMMITTED or COMMIT_FAILED the machine takes no other event (-EBUSY: the
 * carrier keeps them), and nothing that depends on it is sent. After a crash the durable part alone is given back with
 * RESTART. At most one request (offer, find, probe, verify, delete) is in flight; each must be answered by one of its
 * results, sooner or later.
 *
 * Lateness: a request whose answer was lost may still be carried out by the cloud up to ROTATION_REQUEST_LIFETIME
 * later. Until then ("unsettled") no rejection is believed, no deletion is sent and nothing offered is forgotten. */

#include "rotation/age.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

enum rotation_state {
    ROTATION_IDLE,
    ROTATION_STAGED,
    ROTATION_OFFERED,
    ROTATION_PROBING,
    ROTATION_SWAPPED,
    ROTATION_RETIRING,
    ROTATION_ABANDONING,
    ROTATION_STATES
};

enum rotation_role { ROTATION_MAIN, ROTATION_BACKUP };

enum rotation_event_type {
    /* the carrier */
    ROTATION_EV_RESTART, /* the machine was made from its durable part */
    ROTATION_EV_TIMER,   /* look again; may come early, late or for nothing */
    ROTATION_EV_COMMITTED,
    ROTATION_EV_COMMIT_FAILED,
    /* results of OFFER: taken (new or there already with our key), the identity has another key, malformed, no answer
     * or one that asks to come again */
    ROTATION_EV_OFFER_OK,
    ROTATION_EV_OFFER_CONFLICT,
    ROTATION_EV_OFFER_INVALID,
    ROTATION_EV_OFFER_RETRY,
    /* results of FIND */
    ROTATION_EV_FOUND,
    ROTATION_EV_ABSENT, /* or the identity is there with another key */
    ROTATION_EV_FIND_RETRY,
    /* results of PROBE: a fresh full handshake with backup, then the profile's probe request */
    ROTATION_EV_PROBE_ACCEPTED,
    ROTATION_EV_PROBE_REFUSED,     /* the server answered, and said no */
    ROTATION_EV_PROBE_UNREACHABLE, /* no answer at all */
    ROTATION_EV_PROBE_LOCAL,       /* our own fault: no memory, no descriptor */
    /* results of VERIFY: the same with main */
    ROTATION_EV_VERIFY_ACCEPTED,
    ROTATION_EV_VERIFY_REFUSED,
    ROTATION_EV_VERIFY_UNREACHABLE,
    ROTATION_EV_VERIFY_LOCAL,
    /* results of DELETE: confirmed (done, or not there) */
    ROTATION_EV_DELETE_OK,
    ROTATION_EV_DELETE_RETRY,
    /* the device's ordinary session, on main, after a fresh full handshake */
    ROTATION_EV_MAIN_ACCEPTED,
    ROTATION_EV_MAIN_REFUSED,
    ROTATION_EV_MAIN_UNREACHABLE,
    /* the operator or the schedule; each is answered by one REPLY */
    ROTATION_EV_ROTATE,
    ROTATION_EV_SET_MAIN,   /* the key waits at the caller's; CHANGE_SET_MAIN stores it */
    ROTATION_EV_SET_BACKUP, /* likewise */
    ROTATION_EV_FORGET_MAIN,
    ROTATION_EV_FORGET_BACKUP,
    ROTATION_EV_PROMOTE,
    ROTATION_EV_EXPORT,  /* backup's key leaves the agent: only after a REPLY of 0 */
    ROTATION_EV_CONNECT, /* try again now */
    ROTATION_EV_REMOVE,  /* device or uplink removed: a tombstone until the cloud has deleted its credentials */
    ROTATION_EVENTS
};

struct rotation_event {
    enum rotation_event_type type;
    struct stamp now;
    bool maybe_sent;      /* *_RETRY: the request may have reached the cloud */
    bool compromised;     /* ROTATE: retire the old key at once */
    bool scheduled;       /* ROTATE: asked by max_age, not by a person */
    bool confirmed;       /* SET_*, FORGET_*, REMOVE: he says that the cloud has the present one no longer, or takes the
                             risk */
    const char *cloud_id; /* OFFER_OK, FOUND: the cloud's id of the credential; may be NULL or empty: not known */
};

/* Properties of the registrar and of the configuration. */
struct rotation_policy {
    bool replaces;    /* a new key displaces the old under one identity; otherwise both live */
    bool out_of_band; /* it has a login of its own and needs no session of the device */
    bool manual;      /* the operator carries keys and deletions */
    bool looks;       /* FIND shows what is current without writing */
    uint64_t retire_after;
};

/* The change of the vault in one transaction, beside storing the next durable part. */
enum rotation_change_type {
    ROTATION_CHANGE_NONE,
    ROTATION_CHANGE_STATE,    /* the durable part alone */
    ROTATION_CHANGE_STAGE,    /* a new random key under the next identity into backup, replacing nothing offered */
    ROTATION_CHANGE_SET_MAIN, /* the operator's key into main */
    ROTATION_CHANGE_SET_BACKUP,
    ROTATION_CHANGE_CLOUD_ID, /* the cloud's id of the credential in `role` */
    ROTATION_CHANGE_SWAP,     /* exchange the roles; no key is touched */
    ROTATION_CHANGE_FORGET_MAIN,
    ROTATION_CHANGE_FORGET_BACKUP,
    ROTATION_CHANGE_FORGET_ALL, /* both; the device is gone */
};

/* The durable part: stored with every change, given back by RESTART. */
struct rotation_durable {
    enum rotation_state state;
    bool has_main, has_backup;
    bool main_id, backup_id; /* the cloud's id of that credential is known */
    bool compromised;        /* the old key retires without waiting */
    bool wanted;             /* rotate again once the old key is retired */
    bool retire_now;         /* the operator asked to be rid of the old key */
    bool give_up;            /* the operator asked to be rid of the new key */
    bool removing;           /* the device is a tombstone */
    bool conflict;           /* somebody unknown holds our identity: the schedule starts nothing */
    bool fallen;             /* backup was main, and was refused: it is only tried, never offered */
    bool unsettled;          /* a request may be carried out until ROTATION_REQUEST_LIFETIME after `asked` */
    bool dated;              /* `unsettled` and `asked` say all: written by an agent that has the latter */
    struct stamp asked;      /* not set: nobody knows, the start counts */
    struct stamp entered;    /* when this state began */
    struct stamp main_since, backup_since; /* when that key was first main */
};

enum rotation_request {
    ROTATION_REQUEST_NONE,
    ROTATION_REQUEST_OFFER,
    ROTATION_REQUEST_FIND,
    ROTATION_REQUEST_PROBE,
    ROTATION_REQUEST_VERIFY,
    ROTATION_REQUEST_DELETE,
};

enum rotation_report {
    ROTATION_REPORT_FINE,
    ROTATION_REPORT_REFUSED,
    ROTATION_REPORT_CONFLICT,
    ROTATION_REPORT_LEFT, /* removed here, while its credentials are left at the cloud */
};
/* Roles exchanged for another reason than a rotation. */
enum rotation_move { ROTATION_FELL_BACK, ROTATION_WENT_FORWARD };
enum rotation_outcome { ROTATION_DONE, ROTATION_ABANDONED, ROTATION_REMOVED };

struct rotation {
    struct rotation_durable d;
    /* a COMMIT under way */
    struct rotation_durable next;
    enum rotation_change_type change;
    uint16_t row; /* of the table, whose further actions follow COMMITTED */
    /* what is known since the start; lost in a crash without harm. Times are CLOCK_BOOTTIME, 0: never. */
    enum rotation_request in_flight;
    uint8_t main_answers; /* in a row saying no; 2 make main refused */
    uint8_t probe_answers;
    uint8_t refused_probes;
    uint8_t tries;                  /* failures in a row, for the backoff */
    bool probe_turn;                /* requests take turns where several make sense; this one is for a probe */
    bool promote;                   /* the operator wants backup tried, or to be main although others know it */
    bool absent;                    /* the cloud said so, with nothing unsettled: the credential is not there */
    enum rotation_event_type cause; /* why the new key is given up */
    enum rotation_report report;
    uint64_t started;
    uint64_t unsettled_until; /* a request whose answer was lost may be carried out until then */
    struct stamp asked;       /* when that was */
    uint64_t proved_at;       /* main passed a fresh handshake and an accepted message */
    uint64_t passed_at;       /* backup did; forgotten with the key that it was */
    uint64_t fallback_at;
    uint64_t refused_at;  /* the first of refused_probes */
    uint64_t due;         /* of the timer that runs; 0: none does */
    uint64_t hastened_at; /* when an act made the machine look at once */
};

enum rotation_action_type {
    ROTATION_DO_COMMIT, /* change, role (CLOUD_ID), cloud_id, next: in one transaction */
    ROTATION_DO_OFFER,  /* the credential in backup */
    ROTATION_DO_FIND,   /* the cloud's id of the credential in `role`; a registrar that cannot look offers it again */
    ROTATION_DO_PROBE,
    ROTATION_DO_VERIFY,
    ROTATION_DO_DELETE,    /* the credential in `role`, by the cloud's id */
    ROTATION_DO_CLOSE_OLD, /* the probe's session becomes the device's; the one before is closed. A probe's session that
                              was accepted is kept until this, or until an action that is neither this nor COMMIT */
    ROTATION_DO_TIMER,     /* TIMER at `when`; replaces the one before */
    ROTATION_DO_FINISHED,  /* outcome, text */
    ROTATION_DO_MOVED,     /* move, text */
    ROTATION_DO_REPORT,    /* report, text */
    ROTATION_DO_REPLY,     /* to the operator's act: 0 or a negative errno, text */
};

struct rotation_action {
    enum rotation_action_type type;
    enum rotation_role role;
    enum rotation_change_type change;
    const struct rotation_durable *next; /* inside struct rotation, until the next step */
    const char *cloud_id;                /* the event's */
    uint64_t when;
    bool jitter; /* TIMER: a retry, to be spread */
    bool again;  /* COMMIT: nothing changes but that the same is asked once more, which follows it */
    enum rotation_outcome outcome;
    enum rotation_report report;
    enum rotation_move move;
    int reply;
    const char *text; /* static */
};

#define ROTATION_ACTIONS_MAX 8
struct rotation_actions {
    size_t n;
    struct rotation_action list[ROTATION_ACTIONS_MAX];
};

/* A device without rotation: main set or not. */
void rotation_init(struct rotation *r, bool has_main);
/* From the durable part, as after a crash; to be followed by the event RESTART. */
void rotation_restore(struct rotation *r, const struct rotation_durable *d);

/* One event. 0 with the actions, in the order in which they are to be carried out; -EBUSY while a COMMIT is unanswered,
 * or a result of a request that is not in flight: nothing happened. */
int rotation_step(struct rotation *r, const struct rotation_policy *p, const struct rotation_event *ev,
                  struct rotation_actions *ret);

/* The durable part as a blob for the vault: at most ROTATION_BLOB_MAX bytes. */
#define ROTATION_BLOB_MAX 256
ssize_t rotation_encode(const struct rotation_durable *d, uint8_t *blob, size_t size);
/* -EINVAL: not such a blob, or one that contradicts itself; -EPROTONOSUPPORT: of a version unknown here. */
int rotation_decode(const void *blob, size_t n, struct rotation_durable *ret);

const char *rotation_state_name(enum rotation_state s);             /* lower case */
const char *rotation_shown_state(const struct rotation_durable *d); /* as RotationState shows it */
const char *rotation_event_name(enum rotation_event_type t);
const char *rotation_outcome_name(enum rotation_outcome o);
