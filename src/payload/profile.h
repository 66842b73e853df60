/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Profiles: how a cloud wants its samples, and how it gives commands, as data. A profile NAME is the file NAME.json in
 * the first of the profile directories that has it; it names the requests or topics, the format, and what each answer
 * means, and no code knows a cloud. doc/gatehouse-profiles.5 is its manual.
 *
 * A profile never changes once it is loaded, and is counted (ref, unref), though not atomically. Loading blocks on a
 * file; the rest is pure, and may run on any thread, one at a time. Mistakes in the file are noted with
 * file:line:column.
 *
 * Messages come out ready to be sent: the target is expanded and what others chose (a command's id, its point) is
 * escaped in it, so that it can neither leave its place in a topic or path nor become a wildcard. */

#include "base/cleanup.h"
#include "base/error.h"
#include "base/mistakes.h"
#include "base/point-kind.h"
#include "base/sample.h"
#include "base/sensor-state.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

enum profile_transport { PROFILE_COAP, PROFILE_MQTT };

enum profile_format { PROFILE_SENML_JSON, PROFILE_SENML_CBOR, PROFILE_JSON };

/* The meaning of an answer for the samples sent and for the credential they were sent with. */
enum profile_verdict {
    PROFILE_ACCEPTED, /* taken: samples are released, a probe has passed */
    PROFILE_REJECTED, /* the server will never take this content: a pack is split until the sample is found */
    PROFILE_REFUSED,  /* the server does not want this credential, or not here: nothing is released */
    PROFILE_RETRY,    /* not now: keep, and try again; also every answer that the profile does not name */
};

/* CoAP methods (RFC 7252 section 12.1.1, RFC 8132) */
enum profile_method { PROFILE_GET = 1, PROFILE_POST = 2, PROFILE_PUT = 3, PROFILE_FETCH = 5 };

/* The values of {device}, {hardware_id}, {opaque}, {gateway} and {hold}. */
struct profile_names {
    const char *device, *hardware_id, *opaque, *gateway;
    unsigned hold; /* seconds for which a server is asked to hold back the answer to a poll */
};

/* One message, ready to be sent: a CoAP request, or a publication over MQTT. */
struct profile_message {
    enum profile_method method; /* CoAP only */
    char *target;               /* path and query, percent-encoded as struct uplink_request wants it; or topic */
    int content_format;         /* CoAP only; -1: none */
    int accept;                 /* CoAP only: the content format to answer in; -1: any */
    uint16_t wants_option;      /* CoAP only: an option whose value in the answer is wanted; 0: none */
    bool retain;                /* MQTT only */
    char *body;                 /* NUL-terminated, also where it is CBOR; never NULL */
    size_t size;
};

void profile_message_done(struct profile_message *m);

struct json_object;

/* A message of the file, before its templates are filled in. */
struct profile_request {
    enum profile_method method;
    char *target;       /* NULL: there is no such request */
    int content_format; /* -1: none */
    bool retain;
    char *text;               /* the body as text, or */
    struct json_object *body; /* as JSON (in CBOR if that is the content format); neither: empty */
};

/* For what an announcement is made. */
enum profile_each { PROFILE_EACH_DEVICE, PROFILE_EACH_POINT, PROFILE_EACH_WRITABLE };

struct profile_announcement {
    enum profile_each each;
    unsigned kinds; /* of points: bits 1 << enum point_kind */
    struct profile_request request;
};

/* How much somebody should care. */
enum profile_level { PROFILE_ERROR, PROFILE_WARNING, PROFILE_INFO, PROFILE_DEBUG };
#define PROFILE_LEVELS (PROFILE_DEBUG + 1)

enum profile_source_kind { PROFILE_SUBSCRIBE, PROFILE_POLL };

/* How a write that a command asked for has ended. */
enum profile_outcome {
    PROFILE_DONE,
    PROFILE_INVALID,     /* not understood */
    PROFILE_DENIED,      /* the point is not writable */
    PROFILE_UNAVAILABLE, /* the driver or the sensor is away */
    PROFILE_BUSY,        /* too many at once */
    PROFILE_FAILED,
    PROFILE_UNKNOWN, /* no such point; PROFILE_INVALID to who makes no difference */
    PROFILE_RANGE,   /* out of its bounds, */
    PROFILE_KIND,    /* ... not of its kind; PROFILE_DENIED to who makes no difference */
};
#define PROFILE_OUTCOMES (PROFILE_KIND + 1)

struct profile_condition {
    char *pointer;
    struct json_object *value;
};

/* From where commands come. */
struct profile_source {
    enum profile_source_kind kind;
    uint64_t interval; /* PROFILE_POLL: between two polls; 0: the server holds back its answer, so at once */
    struct profile_request request; /* the path to observe, the topic with its captures, or the poll */
    int accept;                     /* CoAP only: the content format to ask for; -1: none */
    bool cbor;                      /* commands are in CBOR, unless a message says what it is in */
    char **locations;               /* NULL-terminated; NULL: a command needs none */
    struct json_object *ignore;     /* a list of messages that are none, or NULL */
    struct profile_condition *when; /* what a message must hold to be a command */
    size_t n_when;
    char *id, *point, *members; /* JSON pointers; NULL: not given */
    char **values;              /* JSON pointers, the first that leads to something counts; NULL: none */
    struct profile_request ask; /* MQTT: sent when it is listened to, over each session */
    struct profile_request reply;
    bool reply_follows;                           /* it has a body, in the format of its command */
    struct profile_request report;                /* of all writes of one message together; else each has a reply */
    struct json_object *report_error;             /* what is said there of a write that failed */
    struct json_object *status[PROFILE_OUTCOMES]; /* NULL: nothing */
};

/* The probe, by which a connection shows that it is let in. */
struct profile_proof {
    struct profile_request request;
    bool reads_back; /* before MQTT 5 the probe counts only when its own message comes back by a subscription to its
                        topic: the PUBACK proves nothing there */
    bool none;       /* "probe": "none": the session alone has to do (MQTT only) */
};

/* The form that samples have in a message. */
struct profile_record {
    char *base_name;
    struct json_object *json; /* one record, of format json */
    bool quality;             /* it says {quality} */
    bool group_time;          /* all points of one time are one record; else a record a sample */
    enum profile_batch { PROFILE_BATCH_ARRAY, PROFILE_BATCH_SINGLE, PROFILE_BATCH_WHEN_MANY } batch;
};

/* The server's time, over CoAP. */
struct profile_time {
    uint16_t option; /* a request that has it is answered by the server's time in it; 0: none */
    uint64_t unit;   /* of that time, in microseconds */
};

struct profile_log {
    struct profile_request request;
    struct json_object *levels[PROFILE_LEVELS]; /* what {level} becomes; NULL: nothing */
};

struct profile_availability {
    struct profile_request request;
    struct json_object *status[SENSOR_STATES]; /* what {status} becomes; NULL: nothing */
};

struct profile {
    unsigned refs;
    char *name;
    uint64_t digest; /* of the file's text */
    enum profile_transport transport;
    enum profile_format format;
    struct profile_request telemetry;
    struct profile_proof probe;
    struct profile_record record;
    struct json_object *units; /* what {unit} becomes, where a cloud has other words for units, a text, or an object of
                                  these and what {quantity} and {statistics} become; or NULL */
    char *without;             /* characters that ids of devices and points may not have; NULL: they may have all */
    bool latest;               /* what a newer value of its point has overtaken is not sent */
    size_t max_payload;        /* bytes of one request's body */
    unsigned drain_rate;       /* requests a second of one device while it catches up; 0: unlimited */
    struct profile_time time;
    struct profile_announcement *announcements; /* sent after each connection, before samples */
    size_t n_announcements;
    struct profile_request will;
    struct profile_log log;
    struct profile_availability availability;
    struct profile_source *sources;
    size_t n_sources;
    uint8_t verdicts[256]; /* enum profile_verdict by CoAP code (class << 5 | detail), or by MQTT reason code */
};

/* Looks in the directories (NULL-terminated) in this order. 0; -EBADMSG with mistakes; -ENOMEM; -ENOENT if none has it,
 * with nothing noted: the caller says it where the name stands. */
int profile_load(const char *const directories[], const char *name, struct profile **ret, struct mistakes *mistakes);
struct profile *profile_ref(struct profile *p);
struct profile *profile_unref(struct profile *p);
DEFINE_FREEP(struct profile, profile_unref)

/* Whether both were read from the same text. */
bool profile_same(const struct profile *a, const struct profile *b);

/* A profile from the text of a file, which is changed in place. -EBADMSG with mistakes, -ENOMEM. */
int profile_parse(const char *file, char *text, size_t n, struct profile **ret, struct mistakes *mistakes);

/* The verdict of an answer with this CoAP code (class << 5 | detail) or MQTT reason code. */
enum profile_verdict profile_verdict(const struct profile *p, uint8_t code);

/* One telemetry message from the first of n samples, in order: at most `max` bytes (0: the profile's own bound; never
 * more than that). Returns how many samples it holds. The same samples give the same bytes, so a retry passes exactly
 * as many samples as it did before. -EMSGSIZE: the first sample does not fit even alone. -EINVAL: the first sample
 * cannot be said (not finite, its time is not yet known). Both are about that sample only: reject it and go on.
 * -ENOMEM. */
ssize_t profile_pack(const struct profile *p, const struct profile_names *names, const struct sample *samples, size_t n,
                     size_t max, struct profile_message *ret);

/* Where they go, for texts: any point is POINT. 0 or -ENOMEM. */
int profile_telemetry_target(const struct profile *p, const struct profile_names *names, char **ret);

/* The probe. 0 or -ENOMEM; -ENOENT under probe_none. */
int profile_probe(const struct profile *p, const struct profile_names *names, struct profile_message *ret);

/* The time in an answer's time option, in microseconds since 1970. -EBADMSG: it holds no time. */
int profile_server_time(const struct profile *p, const uint8_t *value, size_t n, uint64_t *ret);

/* A point, as announcements know it. */
struct profile_point {
    const char *name, *unit; /* "" for no unit */
    bool writable;
    double min, max; /* infinite where there is no bound */
    enum point_kind kind;
    double step;           /* between its values; 0: not known */
    uint64_t expire_after; /* seconds; 0: never */
};

/* The i-th announcement: of the point, or of the device itself (point is NULL) as `each` and `kinds` say. 1 a message,
 * 0 none for this, -ENOMEM. */
int profile_announce(const struct profile *p, size_t i, const struct profile_names *names,
                     const struct profile_point *point, struct profile_message *ret);

/* The i-th topic that a broker retains of a point's samples, or of the device itself (point is NULL), beside
 * announcements. 1 a topic, 0 there is no i-th, -ENOMEM. */
int profile_kept(const struct profile *p, size_t i, const struct profile_names *names, const char *point, char **ret);
/* Whether announcements depend on the kinds of points. */
bool profile_wants_kinds(const struct profile *p);
/* NULL, or the first character of an id of a device or point that the cloud does not take. */
const char *profile_bad_character(const struct profile *p, const char *id);

/* The last will. 1 a message, 0 the profile has none, -ENOMEM. */
int profile_will(const struct profile *p, const struct profile_names *names, struct profile_message *ret);

/* The message about the sensor's state; reason: "" if there is none. 1 a message, 0 the profile has no place for it,
 * -ENOMEM. */
int profile_availability(const struct profile *p, const struct profile_names *names, enum sensor_state state,
                         const char *reason, struct profile_message *ret);

/* Makes a message of a log line: its level, origin and text. 1 a message, 0 the profile has no place for it,
 * -ENOMEM. */
int profile_log(const struct profile *p, const struct profile_names *names, enum profile_level level,
                const char *module, const char *text, struct profile_message *ret);

/* ---- Commands ---- */

/* How to listen to a source: PROFILE_SUBSCRIBE: target is the path to observe or the topic filter; PROFILE_POLL: the
 * whole request whose response may bring a command. 0 or -ENOMEM. */
int profile_source(const struct profile *p, size_t i, const struct profile_names *names, struct profile_message *ret);
/* The i-th request sent after subscribing: 1 a message, 0 nothing, -ENOMEM. */
int profile_ask(const struct profile *p, size_t i, const struct profile_names *names, struct profile_message *ret);

/* One write that is asked for. */
struct profile_command {
    size_t source;
    bool cbor;   /* it came in CBOR */
    char *id;    /* JSON text; "null" if the command has none */
    char *point; /* whatever the cloud wrote; NULL if that could not be read */
    struct sample_value value;
};

/* The commands in one message. The owner calls profile_commands_done(). */
struct profile_commands {
    struct profile_command *list;
    size_t n;
    char *report_id; /* JSON text: the message is answered as a whole, also without writes; NULL: it is not */
};

void profile_commands_done(struct profile_commands *c);

/* Reads what a source brought. `topic`: MQTT: of the message; CoAP: the response's location, or NULL. content_format:
 * CoAP: the response's; -1: it says none.
 * 0: ret->list has n writes; none: nothing to do, as in the answer that begins an observation.
 * -EBADMSG: the words say what is wrong, where, and what was expected; ret->list has one entry, without a point, so
 * that it can be answered. -ENOMEM. */
int profile_commands(const struct profile *p, size_t source, const struct profile_names *names, const char *topic,
                     int content_format, const void *payload, size_t n, struct profile_commands *ret, struct error *e);

/* The message about a command's outcome; text: the error, "" when done; set: the value that the device has then, or
 * NULL. 1 a message, 0 none is wanted, -ENOMEM. */
int profile_outcome(const struct profile *p, const struct profile_names *names, const struct profile_command *c,
                    enum profile_outcome outcome, const char *text, const struct sample_value *set,
                    struct profile_message *ret);

/* The end of one write. */
struct profile_result {
    char *point;
    enum profile_outcome outcome;
    char *text; /* the error; NULL: none */
};

/* The report about a message of source i, by its id. 1 a message, 0 the source has none, -ENOMEM. */
int profile_report(const struct profile *p, size_t i, const struct profile_names *names, const char *id,
                   const struct profile_result *results, size_t n, struct profile_message *ret);
