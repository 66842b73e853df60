/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The packets of the driver protocol (doc/driver-protocol.md): CBOR arrays [kind, serial, ...].
 *
 * Reading checks all that a packet has to be by itself, and fails the reader otherwise; who may say it, and when, is
 * the dialog's. Texts read live as long as the packet. Both ends use it. Pure, but that found devices are json-c's. */

#include "link/cbor.h"

#include <json-c/json.h>

/* Version of the protocol, said in hello. */
#define LINK_ABI 4
#define LINK_ABI_OLDEST 2     /* that the agent takes */
#define LINK_ABI_STATISTICS 3 /* from which on it may be asked for them */
#define LINK_ABI_KEPT 3       /* from which on a secret comes with what was kept */
#define LINK_ABI_WRITES 4     /* from which on several points are written by one request */

enum packet_kind {
    PACKET_HELLO, /* driver to agent */
    PACKET_REPORT,
    PACKET_STATE,
    PACKET_ANSWER,
    PACKET_KEEP,
    PACKET_WELCOME, /* agent to driver */
    PACKET_CREDIT,
    PACKET_BEGIN,
    PACKET_DEVICE,
    PACKET_END,
    PACKET_BYE,
    PACKET_WRITE, /* requests: each is answered once */
    PACKET_WRITES,
    PACKET_READ,
    PACKET_CHECK,
    PACKET_SCAN,
    PACKET_RAW,
    PACKET_SECRET,
    PACKET_STATISTICS,
    PACKET_QUIT,
    PACKET_KINDS,
};

const char *packet_kind_name(enum packet_kind kind);

/* A device as its driver gets it. */
struct link_device {
    const char *id;
    const char *section; /* JSON object: the plugin's section of the device's file */
    const char *points;  /* JSON object: point name to its keys */
};

/* The state of a device, as its driver reports it. */
enum link_state {
    LINK_STATE_UNKNOWN, /* nothing yet; never sent */
    LINK_STATE_OK,
    LINK_STATE_DEGRADED,
    LINK_STATE_FAILED,
    LINK_STATE_CLOSED,
};

const char *link_state_name(enum link_state state);
/* LINK_STATE_UNKNOWN if there is none of that name. */
enum link_state link_state_parse(const char *name);

/* The samples of one device in a report. */
struct packet_part {
    const char *device;
    size_t first, n; /* of the report's samples */
};

struct packet_complaint {
    const char *pointer, *message;
};

/* A packet of a driver; the arrays are the caller's, for one packet after the other. */
struct packet {
    enum packet_kind kind;
    uint64_t serial;
    const char *device, *text; /* state, keep; answer: the reason of a failure; hello: name and version */
    enum link_state state;
    uint64_t abi;
    int r;                   /* answer: 0 or negative */
    struct cbor_reader rest; /* answer: its value, which depends on the question */
    size_t n_parts, n_samples;
    struct packet_part *parts; /* LINK_REPORT_MAX */
    struct sample *samples;    /* likewise */
};

/* Of a driver. `ret` has its arrays. -EBADMSG, with words in *ret_error. */
int packet_read(void *data, size_t n, struct packet *ret, const char **ret_error);

/* The value of a successful answer; at most `max` of them. The number, or -EBADMSG. */
int packet_read_values(struct cbor_reader *r, struct sample_value *values, size_t max);
int packet_read_complaints(struct cbor_reader *r, struct packet_complaint *complaints, size_t max);
/* Adds JSON objects of basic values to the array. Also -ENOMEM. */
int packet_read_found(struct cbor_reader *r, json_object *found);

/* Of the agent, or of either: kind and serial, and how many items follow. */
int packet_open(struct cbor_reader *r, enum packet_kind *ret_kind, uint64_t *ret_serial, size_t *ret_n);
/* A map of basic values as a JSON object. */
int packet_read_map(struct cbor_reader *r, json_object **ret);
/* null members are left out; what is nested travels as JSON text. */
void packet_put_map(struct cbor_writer *w, json_object *object);
/* Begins a packet of n items behind kind and serial. */
void packet_begin(struct cbor_writer *w, enum packet_kind kind, uint64_t serial, size_t n);
/* The samples of one device, of which cbor_put_sample() puts each. */
void packet_put_part(struct cbor_writer *w, const char *device, size_t n);
void packet_put_sample(struct cbor_writer *w, const struct sample *s);

/* A message that has a device's texts (device, check) goes in as many packets as it needs. Puts what fits from *at on,
 * and moves it on; true: there is more. */
bool packet_put_texts(struct cbor_writer *w, enum packet_kind kind, uint64_t serial, const struct link_device *device,
                      size_t *at);
/* Upper bound of the bytes of all these packets. */
size_t packet_texts_size(const struct link_device *device);
