/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Texts and JSON values with words in braces, "gatehouse/{device}/telemetry" or {"ts": "{time_ms}"}, and what becomes
 * of them. A string that is just one word becomes the word's value with its type; a member of an object whose value is
 * a word that means nothing (no unit, no bound) is left out. What stands between {{ and }} belongs to the receiver and
 * is copied as it is.
 *
 * Within a record of several samples a member whose key says {point} is repeated for each of them.
 *
 * Pure; the meanings' texts belong to whoever set them. */

#include "base/reader.h"
#include "base/strbuf.h"
#include "payload/profile.h"
#include "payload/writer.h"

enum word {
    WORD_DEVICE,
    WORD_HARDWARE_ID,
    WORD_OPAQUE,
    WORD_GATEWAY,
    WORD_HOLD,
    WORD_POINT,
    WORD_UNIT,
    WORD_VALUE,
    WORD_QUALITY,
    WORD_TIME,
    WORD_TIME_MS,
    WORD_TIME_US,
    WORD_TIME_ISO,
    WORD_MIN,
    WORD_MAX,
    WORD_STEP,
    WORD_EXPIRE_AFTER,
    WORD_QUANTITY,
    WORD_STATISTICS,
    WORD_ID,
    WORD_STATUS,
    WORD_OK,
    WORD_ERROR,
    WORD_ERRORS,
    WORD_LEVEL,
    WORD_MODULE,
    WORD_TEXT,
    WORDS,
};

#define WORD_BIT(word) (1u << (word))
#define WORDS_NAMES                                                                                                    \
    (WORD_BIT(WORD_DEVICE) | WORD_BIT(WORD_HARDWARE_ID) | WORD_BIT(WORD_OPAQUE) | WORD_BIT(WORD_GATEWAY))
#define WORDS_POLL (WORDS_NAMES | WORD_BIT(WORD_HOLD))
#define WORDS_TIME (WORD_BIT(WORD_TIME) | WORD_BIT(WORD_TIME_MS) | WORD_BIT(WORD_TIME_US) | WORD_BIT(WORD_TIME_ISO))
#define WORDS_SAMPLE (WORD_BIT(WORD_POINT) | WORD_BIT(WORD_UNIT) | WORD_BIT(WORD_VALUE) | WORD_BIT(WORD_QUALITY))
#define WORDS_POINT                                                                                                    \
    (WORD_BIT(WORD_POINT) | WORD_BIT(WORD_UNIT) | WORD_BIT(WORD_MIN) | WORD_BIT(WORD_MAX) | WORD_BIT(WORD_STEP) |      \
     WORD_BIT(WORD_EXPIRE_AFTER) | WORD_BIT(WORD_QUANTITY) | WORD_BIT(WORD_STATISTICS))
#define WORDS_OUTCOME                                                                                                  \
    (WORD_BIT(WORD_ID) | WORD_BIT(WORD_POINT) | WORD_BIT(WORD_VALUE) | WORD_BIT(WORD_STATUS) | WORD_BIT(WORD_OK) |     \
     WORD_BIT(WORD_ERROR))
#define WORDS_REPORT (WORD_BIT(WORD_ID) | WORD_BIT(WORD_OK) | WORD_BIT(WORD_ERRORS))
#define WORDS_AVAILABILITY (WORD_BIT(WORD_STATUS) | WORD_BIT(WORD_OK) | WORD_BIT(WORD_ERROR))
#define WORDS_LOG (WORD_BIT(WORD_LEVEL) | WORD_BIT(WORD_MODULE) | WORD_BIT(WORD_TEXT))

struct meaning {
    enum { MEANS_NOTHING, MEANS_VALUE, MEANS_SECONDS, MEANS_ISO, MEANS_JSON } kind;
    union {
        struct sample_value value;
        uint64_t usec;
        struct json_object *json;
    };
};

struct meanings {
    struct meaning of[WORDS];
    /* of a record of several samples: what its repeated members go through; else n is 0 */
    const struct sample *samples;
    size_t n;
    struct json_object *units; /* what {unit} becomes; or NULL */
    bool plain_names;          /* the record says {quality}: a point's name says none */
};

void meanings_names(struct meanings *m, const struct profile_names *names);
void meanings_text(struct meanings *m, enum word word, const char *text);
/* "" means nothing; also what is measured in it. */
void meanings_unit(struct meanings *m, const char *unit);
/* Point, unit, value, quality; `name` (SAMPLE_NAME_MAX bytes) gets the point's name and lives as long as m. */
void meanings_sample(struct meanings *m, const struct sample *s, char *name);
void meanings_time(struct meanings *m, uint64_t usec);

enum escape {
    ESCAPE_NONE,
    ESCAPE_TOPIC, /* a level of an MQTT topic: what would end it or be a wildcard is percent-encoded */
    ESCAPE_PATH,  /* percent-encoded, except the unreserved characters of RFC 3986 */
};

void template_text(struct strbuf *b, const char *template, const struct meanings *m, enum escape escape);
/* With m NULL there are no words in it: what others wrote. */
void template_json(struct writer *w, struct json_object *template, struct meanings *m);
/* Whether a key that is made of this sample's point is already another member of the same object. */
bool template_collides(struct json_object *template, struct meanings *m);

/* The next word of a text: *ret_word (WORDS if nothing is called that), *ret_at where its brace is, *ret_end behind it.
 * False: there is none. */
bool template_next(const char *text, enum word *ret_word, const char **ret_at, const char **ret_end);
bool template_says(const char *text, enum word word);
bool template_json_says(struct json_object *template, enum word word);

/* ---- When a profile is read ---- */

/* Notes a mistake for each word that is not among `allowed` (WORD_BITs), and for a {{ without }}. */
void template_check_text(struct reader *r, uint32_t node, const char *text, unsigned allowed);
/* The same of a path, topic or name, where no other braces stand either. */
void template_check_target(struct reader *r, uint32_t node, const char *text, unsigned allowed);
/* As that, in all of the value; `repeated`: also allowed in members whose key says {point}. */
void template_check_json(struct reader *r, struct value v, unsigned allowed, unsigned repeated);
