/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* CoAP messages on the wire (RFC 7252 section 3) and in memory. Options are taken apart and put together by libcoap;
 * nothing is allocated. Pure, any thread.
 *
 * A parsed message points into the datagram it was parsed from. One being made points to what its caller added, which
 * must live until it is written; numbers are kept inside, so a message must not be copied by assignment. */

#include "base/limits.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

enum coap_type {
    COAP_CON = 0,
    COAP_NON = 1,
    COAP_ACK = 2,
    COAP_RST = 3,
};

/* RFC 7252 section 12.1; 4.08 and 4.13 of RFC 7959, 4.09 of RFC 8132, 4.29 of RFC 8516. */
#define COAP_CODE(class, detail) ((class) << 5 | (detail))
#define COAP_CODE_CLASS(code) ((code) >> 5)
#define COAP_CODE_DETAIL(code) ((code)&0x1f)
enum coap_code {
    COAP_EMPTY = 0,
    COAP_GET = 1,
    COAP_POST = 2,
    COAP_PUT = 3,
    COAP_DELETE = 4,
    COAP_FETCH = 5,
    COAP_CREATED = COAP_CODE(2, 1),
    COAP_DELETED = COAP_CODE(2, 2),
    COAP_VALID = COAP_CODE(2, 3),
    COAP_CHANGED = COAP_CODE(2, 4),
    COAP_CONTENT = COAP_CODE(2, 5),
    COAP_CONTINUE = COAP_CODE(2, 31),
    COAP_BAD_REQUEST = COAP_CODE(4, 0),
    COAP_UNAUTHORIZED = COAP_CODE(4, 1),
    COAP_FORBIDDEN = COAP_CODE(4, 3),
    COAP_NOT_FOUND = COAP_CODE(4, 4),
    COAP_INCOMPLETE = COAP_CODE(4, 8),
    COAP_CONFLICT = COAP_CODE(4, 9),
    COAP_TOO_LARGE = COAP_CODE(4, 13),
    COAP_UNSUPPORTED_FORMAT = COAP_CODE(4, 15),
    COAP_TOO_MANY_REQUESTS = COAP_CODE(4, 29),
    COAP_SERVICE_UNAVAILABLE = COAP_CODE(5, 3),
};

/* Option numbers: RFC 7252 section 12.2, 7641, 7959, 9175. */
enum coap_option_number {
    COAP_OPT_IF_MATCH = 1,
    COAP_OPT_URI_HOST = 3,
    COAP_OPT_ETAG = 4,
    COAP_OPT_IF_NONE_MATCH = 5,
    COAP_OPT_OBSERVE = 6,
    COAP_OPT_URI_PORT = 7,
    COAP_OPT_LOCATION_PATH = 8,
    COAP_OPT_URI_PATH = 11,
    COAP_OPT_CONTENT_FORMAT = 12,
    COAP_OPT_MAX_AGE = 14,
    COAP_OPT_URI_QUERY = 15,
    COAP_OPT_ACCEPT = 17,
    COAP_OPT_LOCATION_QUERY = 20,
    COAP_OPT_BLOCK2 = 23,
    COAP_OPT_BLOCK1 = 27,
    COAP_OPT_SIZE2 = 28,
    COAP_OPT_SIZE1 = 60,
    COAP_OPT_ECHO = 252,
    COAP_OPT_REQUEST_TAG = 292,
};

struct coap_option {
    uint16_t number;
    uint16_t length;
    uint8_t uint_value[4]; /* where coap_message_add_uint keeps its number */
    const uint8_t *value;
};

struct coap_message {
    uint8_t type; /* enum coap_type */
    uint8_t code; /* enum coap_code, or any other byte */
    uint16_t mid;
    uint8_t token[COAP_TOKEN_SIZE];
    size_t token_size;
    size_t n_options;
    struct coap_option options[COAP_OPTIONS_MAX]; /* by rising number */
    const uint8_t *payload;
    size_t payload_size; /* 0: no payload */
};

/* -EBADMSG: not a CoAP message of version 1, a format error, or more than COAP_OPTIONS_MAX options; *ret is untouched.
 * Options are taken as they are: see coap_message_unsupported. */
int coap_message_parse(const uint8_t *datagram, size_t n, struct coap_message *ret);

/* Reads the header alone, of a datagram that did not parse, to reject it by its MID. -EBADMSG if there is none. */
int coap_message_parse_header(const uint8_t *datagram, size_t n, uint8_t *ret_type, uint16_t *ret_mid);

/* The size written, or -ENOBUFS; -EINVAL if options are not by rising number. */
ssize_t coap_message_write(const struct coap_message *m, uint8_t *buf, size_t size);

/* Adds an option behind those of a lower or the same number. -ENOBUFS when there are COAP_OPTIONS_MAX. */
int coap_message_add(struct coap_message *m, uint16_t number, const void *value, size_t length);
int coap_message_add_uint(struct coap_message *m, uint16_t number, uint32_t value);

/* Adds Uri-Path and Uri-Query of "a/b?x=y" (percent-encoded where a segment holds '/', '?', '&' or '%'; a leading slash
 * is allowed). The options are kept in buf, COAP_PATH_MAX * 2 bytes. -EINVAL: too long, or a segment over 255 bytes. */
int coap_message_add_path(struct coap_message *m, const char *path, uint8_t *buf, size_t size);

/* The first option of that number with a length that its definition allows, or NULL. */
const struct coap_option *coap_message_find(const struct coap_message *m, uint16_t number);
/* -ENOENT if it is not there (or has a forbidden length, which RFC 7252 section 5.4.3 says is the same). */
int coap_message_get_uint(const struct coap_message *m, uint16_t number, uint32_t *ret_value);

/* The number of a critical option of a response that we do not know, or 0: such a response must be rejected. */
uint16_t coap_message_unsupported(const struct coap_message *response);

/* Location-Path and Location-Query joined, percent-encoded as coap_message_add_path takes it ("a/b?x=y"), or NULL if
 * there is none. -ENOMEM. The caller frees. */
int coap_message_location(const struct coap_message *m, char **ret_location);
