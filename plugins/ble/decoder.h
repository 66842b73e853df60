/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Decoding of advertisements by files: NAME.json says what it matches and where its values are, and carries
 * vectors that are checked when it is loaded. The files are explained in gatehouse-ble(5). Any thread, one at a time a
 * set; a loaded set does not change. */

#include "advert.h"
#include "cipher.h"
#include "counter.h"
#include "reading.h"

#include <gatehouse/plugin.h>

#define DECODER_DIR_ADMIN "/etc/gatehouse/ble"
#define DECODER_AUTO "auto"

struct decoder;
struct decoder_set;

/* Reads all *.json of the directories; of files with the same name only that of the first directory is read, even if it
 * is refused. A file that is refused, or a directory that cannot be read, is complained of and left out: 0. A directory
 * that is not there is empty. -ENOMEM. */
int decoder_set_load(const char *const *directories, size_t n_directories, decoder_complain complain, void *context,
                     struct decoder_set **ret);
/* The administrator's directory, then the package's; GATEHOUSE_BLE_DECODERS in the environment names another instead of
 * both. */
int decoder_set_load_installed(decoder_complain complain, void *context, struct decoder_set **ret);
/* One file's text, as if it stood in NAME.json. -EINVAL after a complaint. */
int decoder_set_add_text(struct decoder_set *set, const char *name, const char *path, const char *text, size_t n,
                         decoder_complain complain, void *context);
struct decoder_set *decoder_set_new(void);
struct decoder_set *decoder_set_free(struct decoder_set *set);

/* By name, ascending. */
size_t decoder_set_count(const struct decoder_set *set);
const struct decoder *decoder_set_at(const struct decoder_set *set, size_t i);
const struct decoder *decoder_set_find(const struct decoder_set *set, const char *name);

const char *decoder_name(const struct decoder *d);
const char *decoder_title(const struct decoder *d);
/* Whether what it needs is in the scan response. */
bool decoder_wants_active_scan(const struct decoder *d);
/* Whether a bind key may be of use. */
enum cipher decoder_cipher(const struct decoder *d);
/* How many vectors passed when it was loaded. */
size_t decoder_vectors(const struct decoder *d);

/* Whether the format (or with "auto" any) can give a value of this name from advertisements; "temperature_2" where it
 * can give several. */
bool decoder_gives(const struct decoder_set *set, const char *format, const char *name);

enum decoder_result {
    DECODED,
    DECODER_STOPPED,         /* at an object that it does not know: the values before it are there */
    DECODER_TRUNCATED,       /* the bytes end too early: the values before that are there */
    DECODER_DUPLICATE,       /* heard before: no values */
    DECODER_NOT_MINE,        /* no format matches */
    DECODER_NEEDS_KEY,       /* encrypted, and there is no key */
    DECODER_WRONG_KEY,       /* not encrypted with this key, or not by this sensor */
    DECODER_PLAIN_AFTER_KEY, /* not encrypted although there is a key: anybody could have sent it */
    DECODER_REPLAY_OR_HELD,  /* an old recording, or a restarted sensor that is not believed yet */
};

/* "decoded", "wrong-key", … as in the files. */
const char *decoder_result_name(enum decoder_result result);

struct decoded_value {
    char name[FIELD_NAME_MAX + 8]; /* "temperature", "temperature_2", … */
    struct gatehouse_value value;  /* a text is the struct decoded's */
    const char *field;             /* the name without its number; the set's */
    const char *unit;              /* the set's; NULL: none */
    bool event;                    /* something that happened: each is a sample, even if equal to the last */
};

struct decoded {
    const struct decoder *decoder; /* NULL: none matched */
    bool encrypted;                /* and verified, where the cipher can */
    bool restarted;                /* the counter began again and is believed */
    bool has_counter, has_sequence;
    uint32_t counter;  /* of encrypted ones */
    uint32_t sequence; /* of the format, unverified where the advertisement is plain */
    uint32_t unknown;  /* DECODER_STOPPED: the object's id */
    size_t n_values;
    struct decoded_value values[DECODED_VALUES_MAX];
    char text[DECODED_TEXT_MAX];
    size_t n_text;
};

/* The format's decoder, or of "auto" the most particular one that matches. `key` NULL: none is set. `state` NULL:
 * nothing is known of earlier ones, all are new (for a scan). `now` as for counter_check. An enum decoder_result, or
 * -ENOENT: no such format. */
int decoder_decode(const struct decoder_set *set, const char *format, const struct advert *advert,
                   const struct bind_key *key, struct counter_state *state, uint64_t now, struct decoded *ret);

/* Whether the set knows this characteristic; its decoder in *ret_decoder if that is not NULL. `format` as above. */
bool decoder_has_characteristic(const struct decoder_set *set, const char *format, const char *uuid,
                                const struct decoder **ret_decoder);
/* Decodes what was read from, or notified by, a characteristic. DECODED, DECODER_TRUNCATED, DECODER_NOT_MINE; -ENOENT:
 * no such format. */
int decoder_decode_characteristic(const struct decoder_set *set, const char *format, const char *uuid,
                                  const uint8_t *bytes, size_t n, struct decoded *ret);
