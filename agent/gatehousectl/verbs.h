/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The command line of gatehousectl, as data: parsing, refusals and every help text are made from these two tables. A
 * new verb is a row in verbs.c, a new option one in options.c and its name in the rows of the verbs that take it. */

#include "ctl.h"

#include <stddef.h>
#include <stdio.h>

enum option_id {
    OPTION_END, /* of a verb's list */
    /* general: every verb takes them */
    OPTION_HELP,
    OPTION_VERSION,
    OPTION_JSON,
    OPTION_QUIET,
    OPTION_HOST,
    OPTION_NO_PAGER,
    OPTION_NO_LEGEND,
    OPTION_YES,
    OPTION_GENERAL_LAST = OPTION_YES,
    /* of single verbs */
    OPTION_ADD,
    OPTION_AGENT_PROGRAM,
    OPTION_ALL,
    OPTION_COMPROMISED,
    OPTION_CONFIG_DIR,
    OPTION_COUNT,
    OPTION_DIRECTORY,
    OPTION_DRIVER,
    OPTION_DRIVER_PROGRAM,
    OPTION_DRY_RUN,
    OPTION_ENCODING,
    OPTION_FOR_IMAGE,
    OPTION_FORCE,
    OPTION_FORMAT,
    OPTION_FULL,
    OPTION_KEEP,
    OPTION_KEYFILE,
    OPTION_KIND,
    OPTION_LATEST,
    OPTION_LINES,
    OPTION_LIST,
    OPTION_NO_WAIT,
    OPTION_PLUGIN_DIR,
    OPTION_PREFIX,
    OPTION_READ,
    OPTION_REGISTERED,
    OPTION_ROOT,
    OPTION_SENSOR,
    OPTION_SKIP_EXISTING,
    OPTION_STATE,
    OPTION_STATE_DIR,
    OPTION_TEMPLATE,
    OPTION_TIMEOUT,
    OPTION_TRACE,
    OPTION_TYPE,
    OPTION_UNIT,
    OPTION_UNITS,
    OPTION_UPLINK,
    OPTION_URL,
    OPTION_LAST = OPTION_URL,
};

struct option_row {
    const char *name;
    const char *value;   /* what its value is, in capitals; NULL: it takes none */
    const char *choices; /* separated by '|'; NULL: any value */
    const char *help;
    size_t offset; /* in struct ctl: of a const char * where there is a value, of a bool where there is none */
    char letter;   /* 0: none */
    bool several;  /* of the choices, with commas between them */
};

/* By enum option_id. */
extern const struct option_row option_rows[OPTION_LAST + 1];

#define VERB_OPTIONS_MAX 10

struct verb_option {
    enum option_id id;
    const char *help; /* NULL: as the option's own row says */
};

struct verb {
    const char *name;     /* one word or two */
    const char *operands; /* as in a synopsis */
    int min, max;         /* of operands */
    /* It reads or writes files of this machine, or hands over descriptors, which no connection to another carries. */
    bool local;
    int (*run)(struct ctl *c, int argc, char **argv);
    const char *summary; /* one line */
    const char *details; /* more lines, or NULL */
    struct verb_option options[VERB_OPTIONS_MAX];
};

extern const struct verb verbs[];
extern const size_t n_verbs;

/* The row's option if the verb takes it, NULL if not. */
const struct verb_option *verb_option(const struct verb *verb, enum option_id id);

/* options.c */
struct parsed {
    const struct verb *verb;
    int argc;    /* operands */
    char **argv; /* owned: the list, not the texts */
};

/* The verb that these words begin with, and how many of them its name has; NULL if there is none. */
const struct verb *verb_find(int argc, char **argv, int *ret_words);
/* Options and operands in any order; a negative number is an operand. 0, or an exit status after saying what is wrong;
 * with 0, *ret->verb may be NULL where --help or --version make that right. */
int options_parse(struct ctl *c, int argc, char **argv, struct parsed *ret);

/* complete.c: what may follow these words, the last of which is being typed; for the shells' completion. */
#define COMPLETE_WORD "__complete"
int complete(struct ctl *c, int argc, char **argv);

/* help.c */
/* On standard output, within the terminal's width. */
void help_all(struct ctl *c);
void help_verb(struct ctl *c, const struct verb *verb);
/* Every form of the verbs that begin with this word; whether there are any. */
bool help_forms(const char *word, FILE *to);
/* "--force, --encoding=ENCODING", or "none of its own". */
void help_option_names(const struct verb *verb, char *text, size_t size);
