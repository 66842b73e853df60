/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "rotation/table.h"

#include "base/cleanup.h"

#include <errno.h>

#define IDLE STATE_BIT(ROTATION_IDLE)
#define STAGED STATE_BIT(ROTATION_STAGED)
#define OFFERED STATE_BIT(ROTATION_OFFERED)
#define PROBING STATE_BIT(ROTATION_PROBING)
#define SWAPPED STATE_BIT(ROTATION_SWAPPED)
#define RETIRING STATE_BIT(ROTATION_RETIRING)
#define ABANDONING STATE_BIT(ROTATION_ABANDONING)
#define NEW_KEY (OFFERED | PROBING)      /* backup is the new key, and may be known to the cloud */
#define DELETING (RETIRING | ABANDONING) /* backup is being deleted at the cloud */
#define OLD_KEY (SWAPPED | RETIRING)     /* backup was main before */
#define TWO_KEYS (SWAPPED | DELETING)    /* backup is a way back */
#define ANY (IDLE | STAGED | NEW_KEY | TWO_KEYS)

#define ROTATION_STAY ROTATION_STATES

#define ON(states_, event_) .states = (states_), .event = ROTATION_EV_##event_
#define IF(with_, without_) .with = (with_), .without = (without_)
#define COMMIT(change_, to_) .change = ROTATION_CHANGE_##change_, .to = ROTATION_##to_
#define REPLY(r, send_, text_) .send = SEND_REPLY | (send_), .reply = (r), .text = (text_)

/* Ways out, as an operator types them. */
#define FELL_BACK_FIRST                                                                                                 \
    "it fell back to the key before: `key promote DEVICE` tries the newer one now, `key forget DEVICE backup --force` " \
    "if the cloud has that no longer; then `rotate DEVICE`"
#define NOT_BACK                                                                                                       \
    "the server refuses the new key, and the key before it is known to others: it is not gone back to by itself, "     \
    "`key promote DEVICE` does"
#define LEFT_AS_IT_IS "removed here; what the cloud has of it is left at the cloud"
#define LEFT                                                                                                           \
    "removed here, but left at the cloud, which refuses its key: tried on and on, `device remove DEVICE --force` "     \
    "gives it up"
#define SET_FORCED "`key set DEVICE IDENTITY --force` puts this one in its place"
#define BOTH_REFUSED "with --force if the cloud refuses both keys"
#define NOT_BOTH_REFUSED                                                                                               \
    "the cloud may accept backup: once more when it has refused both keys (an hour after a lost answer)"

const struct rotation_row rotation_table[] = {
    /* Idle: what was asked for meanwhile. */
    {ON(IDLE, TIMER), IF(FACT_REMOVING | FACT_MAIN, 0), COMMIT(STATE, RETIRING), .delay = DELAY_AGAIN,
     .text = "the device is removed: its last credential goes"},
    {ON(IDLE, TIMER), IF(FACT_WANTED | FACT_MAIN, 0), COMMIT(STAGE, STAGED), .clear = FLAG_WANTED, .delay = DELAY_AGAIN,
     .text = "asked for while the old key was retiring"},
    {ON(IDLE, TIMER), IF(FACT_UNDATED, 0), COMMIT(STATE, STAY), .text = "the clock was synchronised"},

    /* Staged: nothing was sent; the commit comes before the first byte of an offer. */
    {ON(STAGED, TIMER), IF(FACT_REMOVING, 0), COMMIT(FORGET_BACKUP, IDLE), .delay = DELAY_AGAIN,
     .text = "never offered"},
    {ON(STAGED, TIMER), IF(0, FACT_MANUAL), COMMIT(STATE, OFFERED), .send = SEND_OFFER,
     .text = "the cloud may know this key from now on"},

    /* The new key is given up: with nothing unsettled, and main just passed. */
    {ON(NEW_KEY, TIMER), IF(FACT_PROMOTE, 0), .send = SEND_PROBE, .text = "the operator asked"},
    {ON(OFFERED, TIMER), IF(FACT_FALLEN | FACT_REMOVING, FACT_OUT_OF_BAND), .send = SEND_PROBE,
     .text = "who accepts the key before may not be the cloud: nothing is deleted through him"},
    {ON(NEW_KEY, TIMER), IF(FACT_HOPELESS | FACT_SETTLED | FACT_PROVED, 0), COMMIT(STATE, ABANDONING),
     .delay = DELAY_AGAIN, .text = "the new key is given up, or the device is removed"},
    {ON(NEW_KEY, TIMER), IF(FACT_HOPELESS | FACT_MAIN_REFUSED | FACT_PROBE_TURN, 0), .send = SEND_PROBE,
     .text = "main is refused: perhaps the new key is the one after all"},
    {ON(NEW_KEY, TIMER), IF(FACT_HOPELESS | FACT_SETTLED, 0), .send = SEND_VERIFY,
     .text = "main must pass before the new key is given up"},
    {ON(NEW_KEY, TIMER), IF(FACT_HOPELESS | FACT_REMOVING, 0), .delay = DELAY_SETTLE,
     .text = "an offer may still arrive"},
    {ON(NEW_KEY, TIMER), IF(FACT_HOPELESS, FACT_MAIN_REFUSED), .delay = DELAY_SETTLE,
     .text = "an offer may still arrive"},

    /* Fallen back: who accepts the key before may be anybody who has it. The key that was main is only tried there. */
    {ON(OFFERED, TIMER), IF(FACT_FALLEN, 0), .send = SEND_PROBE, .text = "is the key that was main accepted again?"},

    /* Offered: the same key again until the registrar takes it or refuses it for good. */
    {ON(OFFERED, TIMER), IF(FACT_MANUAL, 0), .send = SEND_PROBE, .text = "has the operator carried it?"},
    {ON(OFFERED, TIMER), IF(FACT_MAIN_REFUSED | FACT_PROBE_TURN, 0), .send = SEND_PROBE,
     .text = "main and backup are tried in turn"},
    {ON(OFFERED, TIMER), IF(FACT_PROBE_TURN, FACT_SETTLED), .send = SEND_PROBE,
     .text = "an answer was lost: perhaps the offer took"},
    {ON(OFFERED, TIMER), COMMIT(STATE, STAY), .send = SEND_OFFER, .text = "the same key again"},
    {ON(OFFERED, OFFER_OK), IF(FACT_ID, 0), COMMIT(CLOUD_ID, PROBING), .send = SEND_PROBE, .text = "taken"},
    {ON(OFFERED, OFFER_OK), COMMIT(STATE, PROBING), .send = SEND_PROBE, .text = "taken"},
    {ON(OFFERED, OFFER_CONFLICT), IF(FACT_ABSENT, 0), .send = SEND_CONFLICT, .delay = DELAY_AGAIN,
     .text = "somebody else's key stands under our identity: is there a clone of this gateway?"},
    {ON(OFFERED, OFFER_CONFLICT), .send = SEND_CONFLICT, .delay = DELAY_RETRY,
     .text = "somebody else's key stands under our identity: is there a clone of this gateway?"},
    {ON(OFFERED, OFFER_INVALID), IF(FACT_ABSENT, 0), .delay = DELAY_AGAIN, .text = "refused for good"},
    {ON(OFFERED, OFFER_INVALID), .delay = DELAY_RETRY, .text = "refused, but an earlier offer may still arrive"},
    {ON(OFFERED, OFFER_RETRY), .delay = DELAY_RETRY},

    /* Probing: a session of its own with the new key, and one accepted message. */
    {ON(PROBING, TIMER), IF(FACT_PROBES_SPENT | FACT_REPLACES | FACT_LOOKS, FACT_PROBE_TURN), .send = SEND_FIND,
     .text = "is main the current one?"},
    {ON(PROBING, TIMER), IF(FACT_PROBES_SPENT | FACT_REPLACES, 0), COMMIT(STATE, OFFERED), .send = SEND_OFFER,
     .text = "taken, but not accepted: the same key again"},
    {ON(PROBING, TIMER), .send = SEND_PROBE},
    {ON(PROBING, FOUND), .delay = DELAY_AGAIN},
    {ON(PROBING, ABSENT), .delay = DELAY_AGAIN},
    {ON(PROBING, FIND_RETRY), .delay = DELAY_RETRY},
    {ON(OFFERED | ABANDONING, PROBE_ACCEPTED), IF(FACT_FALLEN, 0), COMMIT(SWAP, SWAPPED),
     .clear = FLAG_GIVE_UP | FLAG_CONFLICT | FLAG_FALLEN, .send = SEND_CLOSE_OLD | SEND_FORWARD | SEND_FINE,
     .delay = DELAY_AGAIN, .text = "the key that was main is accepted again"},
    {ON(NEW_KEY, PROBE_ACCEPTED), COMMIT(SWAP, SWAPPED), .clear = FLAG_GIVE_UP | FLAG_CONFLICT,
     .send = SEND_CLOSE_OLD | SEND_DONE | SEND_FINE, .delay = DELAY_AGAIN, .text = "the new key is accepted"},
    {ON(OFFERED, PROBE_REFUSED), IF(FACT_MANUAL, FACT_MAIN_REFUSED | FACT_HOPELESS | FACT_FALLEN),
     .delay = DELAY_HOURLY},
    {ON(OFFERED, PROBE_UNREACHABLE), IF(FACT_MANUAL, FACT_HOPELESS | FACT_FALLEN), .delay = DELAY_HOURLY},

    /* Swapped: the old key is kept until it is due, and until main is proved to be a way in without it. */
    {ON(OLD_KEY, TIMER), IF(FACT_MAIN_REFUSED | FACT_BACKUP | FACT_PROMOTE, 0), .send = SEND_PROBE,
     .text = "the operator goes back to it, though others know it"},
    {ON(TWO_KEYS, TIMER), IF(FACT_MAIN_REFUSED | FACT_BACKUP | FACT_FALLBACK, FACT_SUCCESSOR | FACT_DETACHED),
     .send = SEND_PROBE, .text = "main is refused: the other key is tried"},
    {ON(TWO_KEYS, TIMER), IF(FACT_MAIN_REFUSED | FACT_BACKUP, FACT_SUCCESSOR | FACT_DETACHED), .delay = DELAY_FALLBACK,
     .text = "one fallback in ten minutes"},
    {ON(OLD_KEY, PROBE_ACCEPTED), IF(FACT_MAIN_REFUSED | FACT_PROMOTE, 0), COMMIT(SWAP, OFFERED), .set = FLAG_FALLEN,
     .clear = FLAG_RETIRE_NOW, .send = SEND_CLOSE_OLD | SEND_FELL_BACK | SEND_FINE, .delay = DELAY_AGAIN,
     .text = "main is refused, and the operator asked for the key before, though others know it"},
    {ON(TWO_KEYS, PROBE_ACCEPTED), IF(FACT_MAIN_REFUSED, FACT_SUCCESSOR), COMMIT(SWAP, OFFERED), .set = FLAG_FALLEN,
     .clear = FLAG_RETIRE_NOW | FLAG_GIVE_UP, .send = SEND_CLOSE_OLD | SEND_FELL_BACK | SEND_FINE, .delay = DELAY_AGAIN,
     .text = "main is refused, the deletion of the other key is cancelled"},
    {ON(TWO_KEYS, PROBE_ACCEPTED), .delay = DELAY_AGAIN, .text = "main has come back meanwhile"},
    {ON(SWAPPED, TIMER), IF(0, FACT_RETIRE_DUE), .delay = DELAY_RETIRE},
    {ON(SWAPPED, TIMER), IF(0, FACT_SETTLED), .delay = DELAY_SETTLE, .text = "a request may still arrive"},
    {ON(SWAPPED, TIMER), IF(0, FACT_PROVED), .send = SEND_VERIFY, .text = "main must pass first"},
    {ON(SWAPPED, TIMER), IF(FACT_REPLACES, 0), COMMIT(FORGET_BACKUP, IDLE), .clear = FLAG_RETIRE_NOW,
     .delay = DELAY_AGAIN, .text = "displaced by the key that the cloud accepted"},
    {ON(SWAPPED, TIMER), IF(FACT_MANUAL, 0), COMMIT(FORGET_BACKUP, IDLE), .clear = FLAG_RETIRE_NOW,
     .delay = DELAY_AGAIN, .text = "the operator deleted it at the cloud"},
    {ON(SWAPPED, TIMER), COMMIT(STATE, RETIRING), .delay = DELAY_AGAIN,
     .text = "committed before the first deletion is sent"},

    /* Deleting at the cloud: each attempt wants its own proof that main is a way in. */
    {ON(DELETING, TIMER), IF(FACT_BACKUP, FACT_PROVED), .send = SEND_VERIFY, .text = "main must pass first"},
    {ON(DELETING, TIMER), IF(0, FACT_SETTLED), .delay = DELAY_SETTLE, .text = "a request may still arrive"},
    {ON(RETIRING, TIMER), IF(FACT_ABSENT | FACT_BACKUP, 0), COMMIT(FORGET_BACKUP, IDLE), .clear = FLAG_RETIRE_NOW,
     .delay = DELAY_AGAIN, .text = "not at the cloud any more"},
    {ON(RETIRING, TIMER), IF(FACT_ABSENT, 0), COMMIT(FORGET_ALL, IDLE), .send = SEND_REMOVED,
     .text = "removed at the cloud too: it is not there any more"},
    {ON(ABANDONING, TIMER), IF(FACT_ABSENT, 0), COMMIT(FORGET_BACKUP, IDLE), .clear = FLAG_GIVE_UP,
     .send = SEND_ABANDONED, .delay = DELAY_AGAIN},
    {ON(ABANDONING, TIMER), IF(FACT_REPLACES, 0), COMMIT(FORGET_BACKUP, IDLE), .clear = FLAG_GIVE_UP,
     .send = SEND_ABANDONED, .delay = DELAY_AGAIN},
    {ON(ABANDONING, TIMER), IF(FACT_MANUAL, 0), COMMIT(FORGET_BACKUP, IDLE), .clear = FLAG_GIVE_UP,
     .send = SEND_ABANDONED, .delay = DELAY_AGAIN},
    {ON(DELETING, TIMER), IF(FACT_HAS_ID, 0), .send = SEND_DELETE},
    {ON(DELETING, TIMER), IF(FACT_LOOKS, 0), .send = SEND_FIND, .text = "a deletion names the cloud's id"},
    {ON(DELETING, TIMER), COMMIT(STATE, STAY), .send = SEND_FIND, .text = "a deletion names the cloud's id"},
    {ON(DELETING, FOUND), IF(FACT_ID, 0), COMMIT(CLOUD_ID, STAY), .delay = DELAY_AGAIN},
    {ON(DELETING, FOUND), .delay = DELAY_RETRY},
    {ON(DELETING, ABSENT), .delay = DELAY_AGAIN},
    {ON(DELETING, FIND_RETRY), .delay = DELAY_RETRY},
    {ON(RETIRING, DELETE_OK), IF(FACT_BACKUP, 0), COMMIT(FORGET_BACKUP, IDLE), .clear = FLAG_RETIRE_NOW,
     .delay = DELAY_AGAIN, .text = "the cloud confirmed the deletion"},
    {ON(RETIRING, DELETE_OK), COMMIT(FORGET_ALL, IDLE), .send = SEND_REMOVED,
     .text = "removed at the cloud too, which confirmed it"},
    {ON(ABANDONING, DELETE_OK), COMMIT(FORGET_BACKUP, IDLE), .clear = FLAG_GIVE_UP, .send = SEND_ABANDONED,
     .delay = DELAY_AGAIN},
    {ON(DELETING, DELETE_RETRY), .delay = DELAY_RETRY},

    /* Verdicts on main and backup. */
    {ON(ANY, PROBE_REFUSED), IF(FACT_REMOVING | FACT_MAIN_REFUSED | FACT_BACKUP_REFUSED, FACT_OUT_OF_BAND),
     .send = SEND_LEFT, .delay = DELAY_RETRY, .text = LEFT},
    {ON(OFFERED, PROBE_REFUSED), IF(FACT_REMOVING | FACT_FALLEN | FACT_BACKUP_REFUSED, FACT_OUT_OF_BAND),
     .send = SEND_LEFT, .delay = DELAY_RETRY, .text = LEFT},
    {ON(ANY, PROBE_REFUSED), IF(FACT_MAIN_REFUSED | FACT_BACKUP_REFUSED, 0), .send = SEND_REFUSED, .delay = DELAY_RETRY,
     .text = "the server answers, and refuses both keys: another encoding, revoked there, or "
             "the wrong uplink"},
    {ON(ANY, PROBE_REFUSED), .delay = DELAY_RETRY},
    {ON(ANY, PROBE_UNREACHABLE), .delay = DELAY_RETRY},
    {ON(ANY, PROBE_LOCAL), .delay = DELAY_RETRY},
    {ON(ANY, VERIFY_ACCEPTED), .send = SEND_FINE, .delay = DELAY_AGAIN},
    {ON(OLD_KEY, VERIFY_REFUSED), IF(FACT_MAIN_REFUSED | FACT_SUCCESSOR, FACT_PROMOTE), .send = SEND_REFUSED,
     .delay = DELAY_RETRY, .text = NOT_BACK},
    {ON(TWO_KEYS, VERIFY_REFUSED), IF(FACT_MAIN_REFUSED, FACT_BACKUP_REFUSED), .delay = DELAY_AGAIN},
    {ON(ANY, VERIFY_REFUSED), .delay = DELAY_RETRY},
    {ON(ANY, VERIFY_UNREACHABLE), .delay = DELAY_RETRY},
    {ON(ANY, VERIFY_LOCAL), .delay = DELAY_RETRY},
    {ON(ANY, MAIN_ACCEPTED), .send = SEND_FINE},
    {ON(IDLE | STAGED, MAIN_REFUSED), IF(FACT_MAIN_REFUSED, 0), .send = SEND_REFUSED, .delay = DELAY_AGAIN,
     .text = "the server answers, and refuses the key: another encoding, revoked there, or the wrong uplink"},
    {ON(RETIRING, MAIN_REFUSED), IF(FACT_REMOVING | FACT_MAIN_REFUSED, FACT_BACKUP | FACT_OUT_OF_BAND),
     .send = SEND_LEFT, .text = LEFT},
    {ON(OLD_KEY, MAIN_REFUSED), IF(FACT_MAIN_REFUSED | FACT_SUCCESSOR, FACT_PROMOTE), .send = SEND_REFUSED,
     .text = NOT_BACK},
    {ON(NEW_KEY | TWO_KEYS, MAIN_REFUSED), IF(FACT_MAIN_REFUSED, FACT_BACKUP_REFUSED), .delay = DELAY_AGAIN},
    {ON(ANY, RESTART), IF(FACT_CONFLICT, 0), .send = SEND_CONFLICT, .delay = DELAY_AGAIN,
     .text = "somebody else's key stood under our identity: is there a clone of this gateway?"},
    {ON(ANY, RESTART), .delay = DELAY_AGAIN, .text = "from the durable part"},

    /* The operator and the schedule. */
    {ON(ANY, REMOVE), IF(FACT_CONFIRMED, 0), COMMIT(FORGET_ALL, IDLE), REPLY(0, SEND_REMOVED, LEFT_AS_IT_IS)},
    {ON(ANY, REMOVE), IF(FACT_MANUAL, 0), COMMIT(FORGET_ALL, IDLE), REPLY(0, SEND_REMOVED, LEFT_AS_IT_IS)},
    {ON(ANY, REMOVE), IF(FACT_REPLACES, 0), COMMIT(FORGET_ALL, IDLE), REPLY(0, SEND_REMOVED, LEFT_AS_IT_IS)},
    {ON(IDLE, REMOVE), IF(0, FACT_MAIN), COMMIT(FORGET_ALL, IDLE), REPLY(0, SEND_REMOVED, "removed, it had no key")},
    {ON(ANY, REMOVE), COMMIT(STATE, STAY), .set = FLAG_REMOVING,
     REPLY(0, 0, "its credentials are deleted at the cloud"), .delay = DELAY_AGAIN},

    {ON(ANY, ROTATE), IF(FACT_REMOVING, 0), REPLY(-ENODEV, 0, "the device is being removed")},
    {ON(ANY, ROTATE), IF(0, FACT_MAIN), REPLY(-ENOENT, 0, "the device has no key yet")},
    {ON(ANY, ROTATE), IF(FACT_COMPROMISED, FACT_OUT_OF_BAND),
     REPLY(-EOPNOTSUPP, 0, "this registrar would send the new key over a session of the compromised one")},
    {ON(ANY, ROTATE), IF(FACT_SCHEDULED | FACT_MANUAL, 0), REPLY(-EPERM, 0, "the operator carries these keys")},
    {ON(ANY, ROTATE), IF(FACT_SCHEDULED | FACT_CONFLICT, 0),
     REPLY(-EPERM, 0, "somebody else's key stood under our identity: a person must look first")},
    {ON(OFFERED, ROTATE), IF(FACT_SCHEDULED | FACT_FALLEN, 0),
     REPLY(-EPERM, 0, "it fell back to the key before: a person must look first")},
    {ON(OFFERED, ROTATE), IF(FACT_FALLEN, 0), REPLY(-EBUSY, 0, FELL_BACK_FIRST)},
    {ON(IDLE, ROTATE), IF(FACT_COMPROMISED, 0), COMMIT(STAGE, STAGED), .set = FLAG_COMPROMISED, .clear = FLAG_CONFLICT,
     REPLY(0, SEND_FINE, "begun"), .delay = DELAY_AGAIN},
    {ON(IDLE, ROTATE), COMMIT(STAGE, STAGED), .clear = FLAG_CONFLICT, REPLY(0, SEND_FINE, "begun"),
     .delay = DELAY_AGAIN},
    {ON(STAGED | NEW_KEY, ROTATE), IF(FACT_COMPROMISED, 0), COMMIT(STATE, STAY), .set = FLAG_COMPROMISED,
     REPLY(0, 0, "one is under way; the old key will retire at once"), .delay = DELAY_AGAIN},
    {ON(STAGED | NEW_KEY | ABANDONING, ROTATE), REPLY(0, 0, "one is under way")},
    {ON(SWAPPED, ROTATE), IF(FACT_MANUAL, FACT_REPLACES),
     REPLY(-EBUSY, 0, "delete the old key at the cloud, then `key forget DEVICE backup`")},
    {ON(SWAPPED | RETIRING, ROTATE), IF(FACT_COMPROMISED, 0), COMMIT(STATE, STAY),
     .set = FLAG_WANTED | FLAG_COMPROMISED, REPLY(0, 0, "the old key retires first"), .delay = DELAY_AGAIN},
    {ON(SWAPPED | RETIRING, ROTATE), COMMIT(STATE, STAY), .set = FLAG_WANTED, REPLY(0, 0, "the old key retires first"),
     .delay = DELAY_AGAIN},

    {ON(ANY, SET_MAIN), IF(FACT_REMOVING, 0), REPLY(-ENODEV, 0, "the device is being removed")},
    {ON(IDLE, SET_MAIN), IF(0, FACT_MAIN), COMMIT(SET_MAIN, IDLE), REPLY(0, 0, "set"), .delay = DELAY_AGAIN},
    {ON(ANY, SET_MAIN), IF(FACT_CONFIRMED | FACT_MAIN_REFUSED, FACT_BUSY), COMMIT(SET_MAIN, STAY),
     REPLY(0, 0, "set in place of the one that the cloud refuses"), .delay = DELAY_AGAIN},
    {ON(ANY, SET_MAIN), IF(FACT_CONFIRMED | FACT_MAIN_REFUSED, 0),
     REPLY(-EAGAIN, 0, "the registrar is being asked: once more when it has answered"), .delay = DELAY_AGAIN},
    {ON(ANY, SET_MAIN), IF(FACT_MAIN_REFUSED, 0), REPLY(-EBUSY, 0, "main is in use, and is refused: " SET_FORCED)},
    {ON(ANY, SET_MAIN), REPLY(-EBUSY, 0, "main is in use: set backup, it takes over once the cloud accepts it")},
    {ON(ANY, SET_BACKUP), IF(FACT_REMOVING, 0), REPLY(-ENODEV, 0, "the device is being removed")},
    {ON(ANY, SET_BACKUP), IF(0, FACT_MAIN), REPLY(-ENOENT, 0, "main is empty: set that")},
    {ON(IDLE | STAGED, SET_BACKUP), COMMIT(SET_BACKUP, OFFERED), REPLY(0, 0, "set"), .delay = DELAY_AGAIN},
    {ON(OFFERED, SET_BACKUP), IF(FACT_CONFIRMED | FACT_MANUAL | FACT_SETTLED, FACT_BUSY), COMMIT(SET_BACKUP, OFFERED),
     .clear = FLAG_GIVE_UP, REPLY(0, 0, "set in place of the one before"), .delay = DELAY_AGAIN},
    {ON(NEW_KEY, SET_BACKUP), IF(FACT_CONFIRMED | FACT_MAIN_REFUSED | FACT_BACKUP_REFUSED | FACT_SETTLED, FACT_BUSY),
     COMMIT(SET_BACKUP, OFFERED), .clear = FLAG_GIVE_UP, REPLY(0, 0, "set in place of the one that the cloud refuses"),
     .delay = DELAY_AGAIN},
    {ON(NEW_KEY, SET_BACKUP), IF(FACT_CONFIRMED, 0),
     REPLY(-EAGAIN, 0, NOT_BOTH_REFUSED ", or `key forget DEVICE backup` when main is accepted"), .delay = DELAY_AGAIN},
    {ON(NEW_KEY, SET_BACKUP), REPLY(-EBUSY, 0, "backup has a key that the cloud may know: " SET_FORCED)},
    {ON(ANY, SET_BACKUP),
     REPLY(-EBUSY, 0, "backup has a key that the cloud may know: `key forget DEVICE backup` first, " BOTH_REFUSED)},

    {ON(IDLE, FORGET_MAIN), IF(0, FACT_MAIN), REPLY(-ENOENT, 0, "main is empty")},
    {ON(IDLE, FORGET_MAIN), IF(FACT_CONFIRMED, FACT_REMOVING), COMMIT(FORGET_MAIN, IDLE), REPLY(0, 0, "forgotten")},
    {ON(IDLE, FORGET_MAIN),
     REPLY(-EBUSY, 0, "it is the device's only key: `key forget DEVICE main --force` forgets it all the same")},
    {ON(ANY, FORGET_MAIN),
     REPLY(-EBUSY, 0, "main is in use: `key forget DEVICE backup` first, or wait until backup takes over")},
    {ON(IDLE, FORGET_BACKUP), REPLY(-ENOENT, 0, "backup is empty")},
    {ON(STAGED, FORGET_BACKUP), COMMIT(FORGET_BACKUP, IDLE),
     REPLY(0, SEND_ABANDONED, "forgotten, it was never offered"), .delay = DELAY_AGAIN},
    {ON(OFFERED, FORGET_BACKUP), IF(FACT_CONFIRMED | FACT_MANUAL | FACT_SETTLED, FACT_REMOVING | FACT_BUSY),
     COMMIT(FORGET_BACKUP, IDLE), .clear = FLAG_GIVE_UP, REPLY(0, SEND_ABANDONED, "forgotten, the operator insisted"),
     .delay = DELAY_AGAIN},
    {ON(NEW_KEY | ABANDONING, FORGET_BACKUP),
     IF(FACT_CONFIRMED | FACT_MAIN_REFUSED | FACT_BACKUP_REFUSED | FACT_SETTLED, FACT_REMOVING | FACT_BUSY),
     COMMIT(FORGET_BACKUP, IDLE), .clear = FLAG_GIVE_UP,
     REPLY(0, SEND_ABANDONED, "forgotten, the cloud refuses it and the operator insisted"), .delay = DELAY_AGAIN},
    {ON(OFFERED, FORGET_BACKUP),
     IF(FACT_CONFIRMED | FACT_FALLEN | FACT_BACKUP_REFUSED | FACT_SETTLED, FACT_REMOVING | FACT_BUSY),
     COMMIT(FORGET_BACKUP, IDLE), .clear = FLAG_GIVE_UP,
     REPLY(0, SEND_ABANDONED, "forgotten, the cloud refuses it and the operator insisted"), .delay = DELAY_AGAIN},
    {ON(SWAPPED | RETIRING, FORGET_BACKUP),
     IF(FACT_CONFIRMED | FACT_MAIN_REFUSED | FACT_BACKUP_REFUSED | FACT_SETTLED, FACT_REMOVING | FACT_BUSY),
     COMMIT(FORGET_BACKUP, IDLE), .clear = FLAG_RETIRE_NOW, REPLY(0, 0, "forgotten"), .delay = DELAY_AGAIN},
    {ON(NEW_KEY | TWO_KEYS, FORGET_BACKUP), IF(FACT_CONFIRMED | FACT_MAIN_REFUSED, FACT_REMOVING),
     REPLY(-EAGAIN, 0, NOT_BOTH_REFUSED), .delay = DELAY_AGAIN},
    {ON(NEW_KEY | TWO_KEYS, FORGET_BACKUP), IF(FACT_MAIN_REFUSED, FACT_REMOVING),
     REPLY(-EBUSY, 0, "main is refused, backup may be the way in: `key forget DEVICE backup`, " BOTH_REFUSED)},
    {ON(NEW_KEY, FORGET_BACKUP), IF(FACT_REPLACES, FACT_CONFIRMED),
     REPLY(-EBUSY, 0, "it may have replaced main at the cloud already: --force if main is the current one there")},
    {ON(OFFERED, FORGET_BACKUP), IF(FACT_CONFIRMED | FACT_FALLEN, FACT_REMOVING),
     REPLY(-EAGAIN, 0, "the cloud may accept it: once more when it has refused it"), .delay = DELAY_AGAIN},
    {ON(OFFERED, FORGET_BACKUP), IF(FACT_FALLEN, FACT_REMOVING),
     REPLY(-EBUSY, 0, "it was main, and may be the only way in: --force if the cloud has it no longer")},
    {ON(NEW_KEY, FORGET_BACKUP), COMMIT(STATE, STAY), .set = FLAG_GIVE_UP,
     REPLY(0, 0, "forgotten once main has passed and the cloud has deleted it"), .delay = DELAY_AGAIN},
    {ON(SWAPPED, FORGET_BACKUP), COMMIT(STATE, STAY), .set = FLAG_RETIRE_NOW,
     REPLY(0, 0, "forgotten once main has passed and the cloud has deleted it"), .delay = DELAY_AGAIN},
    {ON(RETIRING, FORGET_BACKUP),
     IF(FACT_CONFIRMED | FACT_BACKUP | FACT_PROVED | FACT_SETTLED, FACT_REMOVING | FACT_BUSY),
     COMMIT(FORGET_BACKUP, IDLE), .clear = FLAG_RETIRE_NOW, REPLY(0, 0, "forgotten"), .delay = DELAY_AGAIN},
    {ON(ABANDONING, FORGET_BACKUP), IF(FACT_CONFIRMED | FACT_PROVED | FACT_SETTLED, FACT_REMOVING | FACT_BUSY),
     COMMIT(FORGET_BACKUP, IDLE), .clear = FLAG_GIVE_UP, REPLY(0, SEND_ABANDONED, "forgotten"), .delay = DELAY_AGAIN},
    {ON(DELETING, FORGET_BACKUP), IF(FACT_CONFIRMED, FACT_REMOVING),
     REPLY(-EAGAIN, 0, "main must pass first, and nothing may be under way"), .delay = DELAY_AGAIN},
    {ON(DELETING, FORGET_BACKUP), REPLY(0, 0, "it is being deleted at the cloud")},

    {ON(NEW_KEY, PROMOTE), REPLY(0, 0, "backup is tried, and takes over when it is accepted"), .delay = DELAY_AGAIN},
    {ON(STAGED, PROMOTE),
     REPLY(-EAGAIN, 0,
           "the cloud does not know backup yet: it was never offered (`key export DEVICE backup` hands it out)")},
    {ON(IDLE, PROMOTE), REPLY(-ENOENT, 0, "backup is empty: `key set DEVICE IDENTITY` or `rotate DEVICE` fill it")},
    {ON(OLD_KEY, PROMOTE), IF(FACT_SUCCESSOR | FACT_MAIN_REFUSED, 0),
     REPLY(0, 0, "the key before is tried, though others know it, and takes over when it is accepted"),
     .delay = DELAY_AGAIN},
    {ON(ANY, PROMOTE), REPLY(-EBUSY, 0, "backup is the old key: `rotate DEVICE` instead")},
    {ON(STAGED, EXPORT), IF(FACT_MANUAL, 0), COMMIT(STATE, OFFERED), REPLY(0, 0, "the cloud may know this key now"),
     .delay = DELAY_HOURLY},
    {ON(STAGED, EXPORT), COMMIT(STATE, OFFERED), REPLY(0, 0, "the cloud may know this key now"), .delay = DELAY_AGAIN},
    {ON(IDLE, EXPORT), REPLY(-ENOENT, 0, "backup is empty")},
    {ON(ANY, EXPORT), REPLY(0, 0, "exported before")},
    {ON(ANY, CONNECT), REPLY(0, 0, "tried now"), .delay = DELAY_AGAIN},
};
const size_t rotation_table_rows = ELEMENTSOF(rotation_table);

const struct rotation_row *rotation_table_find(enum rotation_state state, enum rotation_event_type event,
                                               uint32_t facts)
{
    for (size_t i = 0; i < rotation_table_rows; i++) {
        const struct rotation_row *row = &rotation_table[i];

        if (row->event == event && row->states & STATE_BIT(state) && (facts & row->with) == row->with &&
            (facts & row->without) == 0)
            return row;
    }
    return NULL;
}
