/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The findings of a check: a list, each with its kind, its subject, the cause in words, and the command that mends it.
 *
 * Embedded; the owner calls findings_done(). Any thread, one at a time. Of each kind FINDINGS_PER_KIND are kept, and
 * the rest is counted: a cloud that is away is one trouble, however many devices it has. Running out of memory is kept
 * in `failed`. Nothing of a key may be put into one. Control characters become '?'. */

#include "check/kinds.h"

#include <json-c/json.h>
#include <stdbool.h>
#include <stddef.h>

struct finding {
    enum finding_id id;
    char *subject; /* a device, a file, an uplink, "": the machine */
    char *cause;
    char *mend; /* a whole command; "" if there is none */
};

struct findings {
    struct finding *list;
    size_t n, allocated;
    size_t count[FINDINGS_N]; /* also those beyond FINDINGS_PER_KIND */
    int failed;               /* 0 or -ENOMEM */
};

void findings_done(struct findings *f);
/* Adds one, unless one of that kind and subject is there already or there are FINDINGS_PER_KIND: then NULL, and it is
 * the first word that stays. */
struct finding *findings_add(struct findings *f, enum finding_id id, const char *subject, const char *format, ...)
    __attribute__((format(printf, 4, 5)));
/* Gives it its command; `finding` may be NULL. */
void finding_mend(struct findings *f, struct finding *finding, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
/* The same, of a command with words of others: each is a %s of the format, and stays one word for the shell. */
void finding_mend_words(struct findings *f, struct finding *finding, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
/* Commands that check once more look where the caller did, by these options of his. Harmless when repeated. */
void findings_mend_places(struct findings *f, const char *const *options, size_t n);
/* The agent does not run: commands that ask it start it before, or again instead of a reload. Harmless when repeated.
 */
void findings_mend_without_agent(struct findings *f);
/* Nothing is added any more: the last of each kind says how many more there are, and what another finding explains is
 * taken out (a driver that is not installed is away, too). */
void findings_close(struct findings *f);
/* In the order of enum finding_id, and of subjects as people count (meter-2 before meter-10). */
void findings_sort(struct findings *f);
/* The severest; negative: there is none. */
int findings_worst(const struct findings *f);

/* {"id", "severity", "subject", "cause", "mend"}, all text. NULL: out of memory. */
json_object *finding_json(const struct finding *finding);
/* Adds one that was written so, by another version perhaps: what it does not know is left out. Whether it was one. */
bool findings_add_json(struct findings *f, json_object *object);
