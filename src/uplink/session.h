/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Uplink sessions: one child device's own session to the cloud, CoAP over DTLS-PSK or MQTT over TLS-PSK, connected
 * again for ever.
 *
 * A struct uplink is one configured cloud endpoint: its transport, the resolved address, the admission of handshakes,
 * the suites, all shared by its children. A struct uplink_session is one child with one of its two credentials; a probe
 * for the rotation is simply a second session of the same child. The key is opened from the vault when the TLS library
 * asks for it in the handshake, and wiped before the handshake goes on; between handshakes a session knows only its
 * slot.
 *
 * Requests may be made at any time after the start: while there is no session they wait in order, and go out once it
 * stands. When a CoAP server stops answering (the exchange layer suspects it, or ICMP says so), a second socket makes a
 * new session while the first goes on; whichever is answered first stays. A session over MQTT ends before another one
 * of the same child may begin, since both would have one client id.
 *
 * Loop thread only, nothing blocks, and the cost of a request does not depend on the number of sessions. The vault, the
 * workers and the event loop must outlive the uplink, the uplink its sessions, and a vault entry the time from
 * uplink_session_start() to uplink_session_stop(). Functions return negative errno with words in `e`; what goes wrong
 * later arrives at the ops. An op may call any function here, uplink_session_free() of its own session included. */

#include "base/cleanup.h"
#include "base/error.h"
#include "base/exchange.h"
#include "uplink/hosts.h"
#include "uplink/suites.h"
#include "uplink/trouble.h"
#include "vault/vault.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <systemd/sd-event.h>

struct arena;
struct uplink;
struct uplink_session;
struct workers;

struct uplink_admission {
    unsigned concurrent; /* handshakes in flight; 0: ADMISSION_CONCURRENT */
    unsigned per_sec;    /* handshakes begun; 0: ADMISSION_PER_SEC */
    uint64_t jitter;     /* spread of what the cloud or the network makes many do at once; 0: ADMISSION_JITTER */
    bool unlimited;      /* ADMISSION_UNLIMITED in flight, no rate, no spread */
};

enum uplink_transport { UPLINK_COAP, UPLINK_MQTT };
/* Automatic: version 5, and 3.1.1 where the broker shows that it does not speak that. */
enum uplink_mqtt_version { UPLINK_MQTT_AUTO, UPLINK_MQTT_5, UPLINK_MQTT_311 };

struct uplink_options {
    enum uplink_transport transport;
    const char *name; /* for texts: the uplink's id in the configuration */
    const char *host; /* name or literal address (IPv6 without brackets) */
    uint16_t port;
    struct host_name others[UPLINK_HOSTS_MAX - 1]; /* tried after this one, in order */
    size_t n_others;
    bool follow_references;    /* MQTT 5: to the server that a broker names */
    const char *const *suites; /* names, NULL-terminated (suites.h); NULL: the default list */
    struct uplink_admission admission;
    unsigned nstart;    /* requests in flight a session; 0: COAP_NSTART or MQTT_NSTART */
    uint64_t keepalive; /* idle sessions are pinged so often; 0: COAP_KEEPALIVE or MQTT_KEEPALIVE,
                           USEC_INFINITY: never */
    enum uplink_mqtt_version mqtt_version;
    uint64_t session_expiry;   /* MQTT: the broker keeps sessions and what comes for them so long; 0: not at all */
    bool retained;             /* MQTT: messages that the broker has kept count */
    const struct arena *arena; /* admits no more handshakes than it has cells for; NULL: not looked at */
};

/* Suites that are not known fail with -EINVAL and the names that are. */
int uplink_new(sd_event *event, struct workers *resolver_workers, struct vault *vault,
               const struct uplink_options *options, struct uplink **ret, struct error *e);
/* Sessions must be gone. Waits for nothing: a look-up still running finishes on its worker without us. */
struct uplink *uplink_free(struct uplink *u);
DEFINE_FREEP(struct uplink, uplink_free)

enum uplink_state {
    UPLINK_STATE_STOPPED,
    UPLINK_STATE_CONNECTING,  /* resolving, waiting to be admitted, or in the handshake */
    UPLINK_STATE_ONLINE,      /* a session stands; also while a second one is made beside it */
    UPLINK_STATE_BACKING_OFF, /* waiting after a failure that says nothing about server or key, or to spread a reconnect
                               */
    UPLINK_STATE_UNREACHABLE, /* the last attempt found nobody; trying again */
    UPLINK_STATE_REFUSED,     /* two full handshakes in a row were answered but refused; trying again */
};
const char *uplink_state_text(enum uplink_state state);

/* How an attempt ended. */
enum uplink_result {
    UPLINK_OK,
    UPLINK_REFUSED_ANSWER, /* the server took part up to the proof of the key and then fell silent or sent an alert:
                              the key or the identity is not accepted, or the last flight was lost: believe two */
    UPLINK_UNREACHABLE,    /* no answer, or no address */
    UPLINK_FAILED,         /* answered, but ended before the key could matter (no common suite, garbage) */
    UPLINK_LOCAL,          /* our side: no credential, no arena cell, no descriptor */
};
const char *uplink_result_text(enum uplink_result result);

/* As whom a session over MQTT connects. The strings are allocated, and the session's once they are given. */
struct uplink_introduction {
    char *client_id; /* not the identity: that changes with the key */
    /* The will, QoS 1, published when the connection ends without DISCONNECT; topic NULL: none */
    char *will_topic, *will_payload;
    size_t will_size;
    bool will_retain;
};
void uplink_introduction_done(struct uplink_introduction *i);

struct uplink_session_ops {
    /* At every change of state or of its reason; `reason` is a sentence for people, "" if there is nothing to say. */
    void (*state)(void *userdata, enum uplink_state state, const char *reason);
    /* After each finished attempt, before `state`. `full`: no ticket was offered (result not OK), or none was taken
     * (OK). May be NULL. */
    void (*result)(void *userdata, enum uplink_result result, bool full, const char *reason);
    /* MQTT: asked before each connection. 0 or a negative errno, which ends the attempt as UPLINK_LOCAL. May call
     * nothing here. */
    int (*introduce)(void *userdata, struct uplink_introduction *ret);
};

int uplink_session_new(struct uplink *u, const struct uplink_session_ops *ops, void *userdata,
                       struct uplink_session **ret);
/* Ends without a word to the server; requests in flight end with -ECANCELED before this returns. */
struct uplink_session *uplink_session_free(struct uplink_session *s);
DEFINE_FREEP(struct uplink_session, uplink_session_free)

/* Connects with the credential in the slot and keeps connected until stopped. `label` is for texts (the device's id).
 */
int uplink_session_start(struct uplink_session *s, const char *label, const struct vault_entry *entry,
                         enum vault_slot slot);
/* One attempt, always a fresh full handshake: for probes. After UPLINK_OK the session stands and is used like any
 * other, but once lost it stops; after any other result it has stopped. */
int uplink_session_once(struct uplink_session *s, const char *label, const struct vault_entry *entry,
                        enum vault_slot slot);
/* The handshake of one attempt and nothing after it, for a check: over MQTT a CONNECT would be taken for the device's
 * own. After UPLINK_OK the session takes no requests and is to be freed. `entry` NULL: there is no key, and the
 * attempt goes as far as it gets without; UPLINK_LOCAL then means that somebody answered. */
int uplink_session_try(struct uplink_session *s, const char *label, const struct vault_entry *entry,
                       enum vault_slot slot);
/* Makes a session begun by uplink_session_once() keep itself connected, and names its slot anew: after a swap of roles
 * in the vault the same credential stands in the other slot. Also for a session that goes on as it is. */
void uplink_session_adopt(struct uplink_session *s, enum vault_slot slot);
/* For taking a session over into another holder's hands. */
void uplink_session_set_ops(struct uplink_session *s, const struct uplink_session_ops *ops, void *userdata);
/* Another credential in the slot than at the start (or none): a ticket of the old one is dropped, and the session made
 * anew with a fresh full handshake. The old one goes on until the new one stands. */
void uplink_session_renew(struct uplink_session *s);
/* Tries now instead of at the end of the backoff. */
void uplink_session_hurry(struct uplink_session *s);
/* How a session ends. */
enum uplink_bye {
    UPLINK_SILENT,       /* without a word: over MQTT the will is published */
    UPLINK_BYE,          /* close_notify, or DISCONNECT: it will be back */
    UPLINK_BYE_FOR_GOOD, /* the same, but over MQTT the will is published, since nobody knows when it will be */
};
/* Disconnects and stays so. Requests end with -ECANCELED. State STOPPED is told. */
void uplink_session_stop(struct uplink_session *s, enum uplink_bye bye);

/* Makes a request; what it is and what becomes of it: message.h. ret_call (may be NULL) is valid until done is called,
 * which may be before the return. -ESHUTDOWN when stopped; -EINVAL, -EMSGSIZE, -ENOBUFS, -ENOMEM: done is not called.
 */
int uplink_session_request(struct uplink_session *s, const struct uplink_request *request, uplink_done done,
                           void *userdata, struct uplink_call **ret_call);
/* The size that a request's payload should not exceed: larger datagrams are lost on the way, or the broker takes no
 * larger packets. 0: no such bound is known. */
size_t uplink_session_payload_max(const struct uplink_session *s);
/* Observes a resource (RFC 7641), in the content format `accept` (-1: any); over MQTT subscribes to a topic filter,
 * with QoS 1. Lasts over reconnects, until it is cancelled or the session stopped. */
int uplink_session_subscribe(struct uplink_session *s, const char *target, int accept, uplink_notification notify,
                             void *userdata, struct uplink_subscription **ret);

struct uplink_counters {
    uint64_t handshakes_full, handshakes_resumed, handshakes_failed;
    uint64_t datagrams_in, datagrams_out;
    uint64_t dropped; /* bad, replayed or out-of-state records, and epoch-0 records in an open session */
    uint64_t renegotiations_refused, stale_switches, stale_kept;
};

struct uplink_info {
    enum uplink_state state;
    const char *reason;          /* of the state; the session's */
    enum uplink_trouble trouble; /* of the last attempt, NONE once a session stood */
    const char *trouble_host;    /* with which it was had, "": not known; the session's */
    uint64_t retry_at;           /* CLOCK_BOOTTIME: when it tries to connect again; 0: it waits for nothing */
    enum vault_slot slot;
    bool established;    /* the fields below describe a session that stands */
    bool resumed;        /* its handshake was resumed by a ticket */
    bool tells_refusals; /* the server says of each message whether it was allowed; MQTT before version 5 does not */
    char suite[SUITE_TEXT_MAX];
    char group[GROUP_TEXT_MAX]; /* of the key exchange, "" without forward secrecy, or where a ticket was used */
    bool forward_secrecy;       /* of the full handshake; a resumed session inherits it */
    uint64_t full_at;           /* CLOCK_BOOTTIME: when the last full handshake finished */
    uint64_t online_since;      /* CLOCK_BOOTTIME */
    char address[64];           /* the server's, with port */
    char server[HOST_TEXT_MAX]; /* its name, with port */
    bool referred;              /* a broker has named it, not the configuration */
    uint64_t rtt;               /* smoothed, microseconds; 0: not measured yet */
    struct uplink_counters counters;
};
void uplink_session_info(const struct uplink_session *s, struct uplink_info *ret);
enum uplink_state uplink_session_state(const struct uplink_session *s);
/* Of that state, "" if there is nothing to say; the session's, until it changes. */
const char *uplink_session_reason(const struct uplink_session *s);

/* Raises RLIMIT_NOFILE to its hard limit, and has the kernel make room for `needed` descriptors. If that is fewer than
 * `needed` descriptors: -EMFILE, and e says how many sessions fit and which setting to raise. */
int uplink_raise_nofile(uint64_t needed, struct error *e);
