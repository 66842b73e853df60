/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The vault: every credential of every device, sealed on disk (vault.db) and in memory.
 *
 * A credential is an identity, a key and a kind. A device may hold two per uplink, `main` and `backup`. An entry is
 * what the vault knows of one (device, uplink); entries and all that is reached through them belong to the vault and
 * change only just before the `done` of a commit. Nothing here shows key bytes: that is vault/key.h, for those who may.
 *
 * What changes is described in a vault_change and handed to vault_commit(). The changes of one loop turn, and all that
 * queue up while a commit runs, become one SQLite transaction on a worker thread; `done` is called on the loop once
 * they are durable. If the transaction fails, each of its changes is reported failed and memory stays as it was.
 *
 * Loop thread only. Failures are negative errnos with words in struct error; vault_open() gives -EBUSY when another
 * process holds the vault (its pid is in the text). A file that is not a vault of ours is never written to. */

#include "base/arena.h"
#include "base/cleanup.h"
#include "base/error.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <systemd/sd-event.h>

#define FINGERPRINT_TEXT_SIZE (FINGERPRINT_SIZE * 2 + 1)
#define OPAQUE_ID_SIZE (OPAQUE_ID_LENGTH + 1) /* with its NUL */

enum vault_slot { VAULT_MAIN, VAULT_BACKUP };
/* Numbers are of the format: never reordered. */
enum vault_kind { VAULT_PSK, VAULT_BIND, VAULT_X509, VAULT_LOGIN };
/* Whether the cloud knows the credential in main: the queue of registrations is made of all entries of which it does
 * not. It is the main credential's, and ends with it. */
enum vault_registration {
    VAULT_REGISTERED,            /* or nobody's business here: set by hand, or by a rotation */
    VAULT_REGISTRATION_WAITING,  /* not a byte of it was sent */
    VAULT_REGISTRATION_OFFERED,  /* the cloud may know it */
    VAULT_REGISTRATION_CONFLICT, /* the cloud refused it for good: somebody has to look */
};
enum vault_encoding { VAULT_RAW, VAULT_HEX, VAULT_BASE64, VAULT_TEXT };

/* "main", "psk", "hex" and so on; parsing gives the value or -EINVAL. */
const char *vault_slot_to_string(enum vault_slot slot);
int vault_slot_from_string(const char *text);
const char *vault_kind_to_string(enum vault_kind kind);
int vault_kind_from_string(const char *text);
const char *vault_encoding_to_string(enum vault_encoding encoding);
int vault_encoding_from_string(const char *text);

struct vault;
struct vault_entry;
struct vault_change;

/* ── Opening ── */

struct vault_options {
    const char *path;    /* of vault.db, in a directory that exists */
    const char *keyfile; /* NULL: key_current below $CREDENTIALS_DIRECTORY; then its successor (vault/keyfile.h) */
    const void *bind;    /* mixed into the wrapping key; NULL: none */
    size_t bind_size;
    bool adopt_bind;     /* bind a vault that is not bound yet, instead of refusing it */
    bool allow_volatile; /* do not hold a volatile state directory against it */
};

/* Makes vault.db if there is no such file, otherwise opens it; blocks, so before the loop runs. -EBUSY: held by another
 * process. -EKEYREJECTED: the keyfile or the bind value is not the vault's. -ENOKEY: no keyfile can be read, or it is
 * open to others.
 * -EBADMSG: corrupt. -EMEDIUMTYPE: not a vault. -EPROTONOSUPPORT: of a later format. -EROFS, -ENOSPC. */
int vault_open(sd_event *event, struct arena *arena, const struct vault_options *options, struct vault **ret,
               struct error *e);
/* Changes not begun are reported -ECANCELED; call vault_flush() first to keep them. Not from a `done`. */
struct vault *vault_free(struct vault *vault);
DEFINE_FREEP(struct vault, vault_free)

/* False if what is committed would be gone after a reboot (tmpfs, ramfs, an overlay with a volatile upper): a rotation
 * would then be a lock-out. *ret_why (may be NULL) is then the reason; with true it is NULL or a warning. */
bool vault_durable(const struct vault *vault, const char **ret_why);

/* The error of a vault of which parts were put back to an older version, if it cannot be told whose; NULL: none. An
 * entry that is known to be older is in quarantine. */
const char *vault_put_back(const struct vault *vault);

/* ── Reading ── */

struct vault_credential {
    bool present;
    bool quarantined; /* its record does not open: it cannot be used, only forgotten or replaced */
    enum vault_kind kind;
    char fingerprint[FINGERPRINT_TEXT_SIZE]; /* "" when quarantined */
    const char *identity;                    /* never NULL; when quarantined only what the record claims */
    const char *cloud_id;                    /* the cloud's own id for it, "" if unknown */
    uint64_t generation;                     /* rises with each credential put into the entry */
    uint64_t since;                          /* when it was put, CLOCK_REALTIME; 0: the clock was not to be trusted */
    uint64_t last_authenticated;             /* CLOCK_REALTIME, 0: never */
};

/* NULL if the vault has nothing on this device and uplink. */
struct vault_entry *vault_find(struct vault *vault, const char *device, const char *uplink);
/* All entries, in no order; begin with NULL. No commit may be awaited between two calls. */
struct vault_entry *vault_next(struct vault *vault, const struct vault_entry *previous);
size_t vault_entries(const struct vault *vault);

const char *vault_entry_device(const struct vault_entry *entry);
const char *vault_entry_uplink(const struct vault_entry *entry);
/* Never NULL: look at `present`. */
const struct vault_credential *vault_credential(const struct vault_entry *entry, enum vault_slot slot);
/* The highest {n} given to an identity of this entry; outlives vault_change_remove(). */
uint64_t vault_identity_counter(const struct vault_entry *entry);
/* Whether some slot of some device has this identity, or is about to. */
bool vault_identity_used(const struct vault *vault, const char *identity);
/* It came from a backup, and nobody has said since (vault_change_restored) that one of its keys was accepted: until
 * then it is not known what the cloud has. */
bool vault_restored(const struct vault_entry *entry);
/* The rotation's own state, opaque here; NULL with *ret_size 0 if there is none. */
const void *vault_rotation(const struct vault_entry *entry, size_t *ret_size);
enum vault_registration vault_registration(const struct vault_entry *entry);
/* Why something of this entry is in quarantine, or NULL. A state record that does not open quarantines both slots; the
 * entry then takes nothing but vault_change_remove() and vault_change_reset(). */
const char *vault_quarantine(const struct vault_entry *entry);
/* Its state record does not open. */
bool vault_state_lost(const struct vault_entry *entry);

/* 10 base32 characters of HMAC(identity key, device id): names a device without telling which. */
/* The same for equal keys, under a key of the vault: to find those that come twice. */
int vault_key_digest(const struct vault *vault, const struct secret *key, uint64_t *ret_digest);
int vault_opaque_id(const struct vault *vault, const char *device, char ret_id[OPAQUE_ID_SIZE]);

struct vault_stats {
    uint64_t commits;     /* transactions, each one fsync of the log */
    uint64_t changes;     /* that they carried */
    uint64_t failed;      /* changes reported failed */
    uint64_t checkpoints; /* after batches that forgot keys */
};
void vault_stats(const struct vault *vault, struct vault_stats *ret);

/* ── Changing ── */

enum vault_put_flags {
    VAULT_FORCE_WEAK = 1 << 0,      /* take a weak key */
    VAULT_SHARES_IDENTITY = 1 << 1, /* the other slot may have the same identity (a registrar that replaces) */
};

typedef void vault_done_fn(int r, const struct error *e, void *userdata);

/* As device and uplink: the entry of what is of no device. It holds no credential. */
#define VAULT_FLEET "*"
/* As uplink: the entry of a device's own credential of that kind, which no cloud ever sees; it stands in main. */
#define VAULT_OF_SENSOR "*bind"
/* As uplink: the entry of a device's login (a user name and a password beside the key, over MQTT), in main; its state
 * is the uplink that it is for (vault/login.h). */
#define VAULT_OF_LOGIN "*login"
/* Whether the entry is of none of the configuration's uplinks. */
bool vault_entry_internal(const struct vault_entry *entry);

/* A change to one entry, which need not exist yet: steps in order, all or none. NULL when out of memory. A step that
 * fails makes the whole change fail: its return value may be ignored, vault_commit() reports the first. */
struct vault_change *vault_change_new(struct vault *vault, const char *device, const char *uplink);
struct vault_change *vault_change_free(struct vault_change *c);
DEFINE_FREEP(struct vault_change, vault_change_free)

/* Fills or replaces a slot; `key` is copied. Checked at once, against what is committed and what is queued:
 * -EINVAL      key not 16..64 bytes, identity not 1..128 bytes of printable UTF-8
 * -EKEYREJECTED a weak key, without VAULT_FORCE_WEAK
 * -EEXIST      the key is or ever was in the vault (text names the device), except the same key in the same slot
 * -EADDRINUSE  another device (named), or the other slot, has the identity
 * Of VAULT_BIND, which a sensor's maker chose, any key is taken, as often as it comes, unless it is or was a cloud's;
 * and never again for a cloud, since a driver knows it. Of VAULT_LOGIN any may come as often, too: DEVICE_LOGIN_MAX
 * bytes. The cloud id and last_authenticated of the slot are cleared. */
int vault_change_put(struct vault_change *c, enum vault_slot slot, const char *identity, enum vault_kind kind,
                     const struct secret *key, unsigned flags, struct error *e);
/* Exchanges the roles; seals no key anew. The backup must be there. */
/* Whether vault_change_put() of this into main would be taken, which it says for itself; changes nothing. */
int vault_put_check(struct vault *vault, const char *device, const char *uplink, const char *identity,
                    const struct secret *key, unsigned flags, struct error *e);
int vault_change_swap(struct vault_change *c);
/* Forgets the credential of a slot; it being empty is success. Its key stays in the index as retired. */
int vault_change_forget(struct vault_change *c, enum vault_slot slot);
/* At most VAULT_ROTATION_MAX bytes; n = 0 clears it. */
int vault_change_rotation(struct vault_change *c, const void *blob, size_t n);
int vault_change_cloud_id(struct vault_change *c, enum vault_slot slot, const char *id);
/* The identity counter only rises: a lower value is left alone. */
int vault_change_counter(struct vault_change *c, uint64_t n);
int vault_change_restored(struct vault_change *c, bool restored);
/* Of the credential that main then has. -ENOENT: it has none. */
int vault_change_registration(struct vault_change *c, enum vault_registration registration);
int vault_change_authenticated(struct vault_change *c, enum vault_slot slot, uint64_t when);
/* To begin again with an entry that is damaged: everything of it but its counters is dropped, and a put into main that
 * follows in the same change may be of a key that it held, as far as that is known. */
int vault_change_reset(struct vault_change *c);
/* Everything of the entry but its identity counter; its keys stay in the index as retired. */
int vault_change_remove(struct vault_change *c);

/* Takes the change in any case. Less than 0: not queued, `done` (may be NULL) is not called. Otherwise it is called
 * once, never from within; until then the pointer is good for vault_change_leave(). Changes to the same entry are
 * applied in the order of their commits. */
int vault_commit(struct vault *vault, struct vault_change *c, vault_done_fn *done, void *userdata);
/* Lets go of a committed change whose `done` has not been called: it is committed all the same, and `done` is not
 * called. NULL is taken. */
void vault_change_leave(struct vault_change *c);
/* Flushes what is queued, then commits this one; blocks: for tools, tests and the time before the loop runs. */
int vault_commit_sync(struct vault *vault, struct vault_change *c, struct error *e);
/* A transaction begins when so many changes wait, or so long after the first of them; 1 and 0, as it is at first: at
 * the end of the loop turn. For who has many devices on the same way at once. */
void vault_gather(struct vault *vault, size_t changes, uint64_t delay);
/* Changes handed to vault_commit() whose `done` has not been called. */
size_t vault_pending(const struct vault *vault);
/* Commits all that is queued and calls each `done`; blocks. The first failure is returned. */
int vault_flush(struct vault *vault);
/* One transaction of that, of at most VAULT_BATCH_MAX changes: for the shutdown, in turns of the loop, until
 * vault_pending() is 0. */
int vault_flush_batch(struct vault *vault);
/* All that has been handed over by now. */
struct vault_handed {
    uint64_t changes, rekeys; /* each kind ends in its order; a rekey overtakes changes */
};
struct vault_handed vault_handed(const struct vault *vault);
/* Whether all of that is durable, or has failed, whatever was handed over since. */
bool vault_settled(const struct vault *vault, const struct vault_handed *handed);

/* ── Rekeying ── */

/* Seals everything anew under a new random vault key, and that under another keyfile, in one transaction between those
 * of the changes. `keyfile` (KEYFILE_SIZE bytes) is taken in any case. 0: `done` will be called on the loop. 1: the
 * vault has this keyfile already, `done` is not called. -EINVAL, -EKEYREJECTED: no keyfile. -EBUSY: rekeyed or verified
 * already. A recovery key made before opens the vault no longer. */
int vault_rekey(struct vault *vault, struct secret *keyfile, vault_done_fn *done, void *userdata, struct error *e);
/* Wraps the vault key for a recovery key as well (vault/recover.h), of the same size as a keyfile; one made before is
 * void. As vault_rekey(), but never 1. */
int vault_set_recovery_key(struct vault *vault, struct secret *recovery_key, vault_done_fn *done, void *userdata,
                           struct error *e);
/* The vault opened with the keyfile of a rekey that was cut short before it took its place. */
bool vault_opened_with_next(const struct vault *vault);

/* ── Verifying ── */

struct vault_verify_handler {
    /* One thing wrong with one entry. May be NULL. */
    void (*problem)(const char *device, const char *uplink, const char *reason, void *userdata);
    /* After each slice. May be NULL. */
    void (*progress)(size_t done, size_t total, void *userdata);
    /* Last. r < 0: the verification itself failed; otherwise n_problems were reported. */
    void (*done)(int r, size_t n_problems, const struct error *e, void *userdata);
};

/* Reads vault.db again and opens every record, a slice of VAULT_VERIFY_SLICE entries at a time on the worker, between
 * the commits; the handler is called on the loop. -EBUSY while another verification runs, or a rekey. */
int vault_verify(struct vault *vault, const struct vault_verify_handler *handler, void *userdata);
/* The same, blocking, all at once; returns the number of problems. */
int vault_verify_sync(struct vault *vault, const struct vault_verify_handler *handler, void *userdata);

/* ── Keys as descriptors and handles ── */

/* A key of KEY_GENERATED_SIZE random bytes, or their hex digits, for a cloud that takes keys `as_text`; the caller
 * frees it. */
int vault_key_generate(struct vault *vault, bool as_text, struct secret **ret);

struct vault_key_read;
/* `key` is the callee's on r = 0, otherwise NULL. */
typedef void vault_key_done_fn(int r, struct secret *key, const struct error *e, void *userdata);

/* Reads a key from a memfd sealed against writing or the read end of a pipe (anything else: -EINVAL at once), to its
 * end, at most KEY_DESCRIPTOR_MAX bytes, within KEY_DESCRIPTOR_TIMEOUT (-ETIMEDOUT). One trailing newline is dropped
 * except raw. The descriptor is duplicated: the caller keeps its own. `done` is called on the loop, once, never from
 * within, unless vault_key_read_free() cancels it before; afterwards *ret (may be NULL) is gone. */
int vault_key_read(struct arena *arena, sd_event *event, int fd, enum vault_encoding encoding, vault_key_done_fn *done,
                   void *userdata, struct vault_key_read **ret, struct error *e);
struct vault_key_read *vault_key_read_free(struct vault_key_read *read);

/* A memfd, sealed, at offset 0, with the key in that encoding and nothing after it. -EILSEQ: the key is no text. */
int vault_key_export(struct vault *vault, const struct vault_entry *entry, enum vault_slot slot,
                     enum vault_encoding encoding, int *ret_fd, struct error *e);
