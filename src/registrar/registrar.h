/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* How a cloud learns a key, as the agent sees it: offer, find, delete. A call names a credential by its vault entry and
 * slot; key bytes are opened by the registrar's one sending file alone and wiped there.
 *
 * Every call that began ends in exactly one `done` on the loop thread, within REGISTRAR_TIMEOUT;
 * registrar_call_cancel() ends it with REGISTRAR_RETRY before it returns. A request over a session that cannot be sent
 * ends from within the call that began it, with *ret set until then. A call that cannot begin returns a negative errno
 * with words. Calls are idempotent: an offer may be repeated with the same credential. A registrar serves any number of
 * devices at once and must outlive its calls, as must the session and the vault entry.
 */

#include "base/cleanup.h"
#include "base/error.h"
#include "vault/vault.h"

#include <stdbool.h>
#include <stdint.h>

struct registrar;
struct registrar_call;
struct uplink_session;

enum registrar_result {
    REGISTRAR_OK,          /* offer: taken; find: there, and ours; delete: gone now */
    REGISTRAR_EXISTS_OURS, /* offer: was there already, with this key */
    REGISTRAR_CONFLICT,    /* offer, find: the identity is there with another key */
    REGISTRAR_INVALID,     /* offer: refused as such, and would be again */
    REGISTRAR_ABSENT,      /* find, delete: the cloud has no such credential */
    REGISTRAR_RETRY,       /* not answered, or asked to come again */
};
const char *registrar_result_text(enum registrar_result result);

struct registrar_answer {
    enum registrar_result result;
    bool maybe_sent;      /* RETRY: the request may have reached the cloud, and may still be carried out */
    const char *cloud_id; /* OK and EXISTS_OURS of offer and find: the cloud's id of the credential, "" if unknown */
    uint64_t retry_after; /* RETRY: microseconds that the cloud asked for; 0: no wish */
    const char *reason;   /* a sentence for people, never NULL */
};
typedef void registrar_done(const struct registrar_answer *answer, void *userdata);

struct registrar_credential {
    struct vault *vault;
    const struct vault_entry *entry;
    enum vault_slot slot;
    const char *hardware_id; /* under which the cloud knows the device; NULL: as the agent */
    struct uplink_session
        *session;   /* of this device, with whichever credential authenticates; for in-band registrars */
    bool unoffered; /* it is our own, and no offer of it can have reached the cloud yet: what stands there is not it */
};

struct registrar_traits {
    bool replaces;    /* a new key displaces the old under one identity */
    bool out_of_band; /* needs no session of the device */
    bool manual;      /* a person does it: no calls at all */
    bool looks;       /* find does not write */
    bool text_keys;   /* this cloud takes keys as the text that it shows: a key is to be made of such characters */
};

struct registrar_class {
    const char *name;
    int (*offer)(struct registrar *r, const struct registrar_credential *credential, registrar_done *done,
                 void *userdata, struct registrar_call **ret, struct error *e);
    int (*find)(struct registrar *r, const struct registrar_credential *credential, registrar_done *done,
                void *userdata, struct registrar_call **ret, struct error *e);
    /* By the cloud's id that the vault holds for the credential. */
    int (*delete)(struct registrar *r, const struct registrar_credential *credential, registrar_done *done,
                  void *userdata, struct registrar_call **ret, struct error *e);
    void (*cancel)(struct registrar_call *call);
    struct registrar *(*free)(struct registrar *r);
};

/* The head of each registrar. */
struct registrar {
    const struct registrar_class *class;
    struct registrar_traits traits;
};

int registrar_offer(struct registrar *r, const struct registrar_credential *credential, registrar_done *done,
                    void *userdata, struct registrar_call **ret, struct error *e);
int registrar_find(struct registrar *r, const struct registrar_credential *credential, registrar_done *done,
                   void *userdata, struct registrar_call **ret, struct error *e);
int registrar_delete(struct registrar *r, const struct registrar_credential *credential, registrar_done *done,
                     void *userdata, struct registrar_call **ret, struct error *e);
void registrar_call_cancel(struct registrar_call *call);
struct registrar *registrar_free(struct registrar *r);
DEFINE_FREEP(struct registrar, registrar_free)

/* `coap`: POST credentials, DELETE credentials/ID over the device's own session. */
int registrar_coap_new(sd_event *event, bool replaces, bool offer_without_pfs, struct registrar **ret);
/* `manual`: every call is -EOPNOTSUPP. */
int registrar_manual_new(bool replaces, struct registrar **ret);
/* `golioth`, `hono`, `exec`: a request to the gatehouse-registrar at the socket `path`, with these settings (a JSON
 * object). A cloud's Retry-After holds back every call of the registrar: -EAGAIN. */
int registrar_remote_new(sd_event *event, const char *path, const char *settings, bool replaces,
                         enum vault_encoding encoding, struct registrar **ret);
