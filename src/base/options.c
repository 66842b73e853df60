/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "base/options.h"

#include <stdio.h>
#include <string.h>

/* The word that getopt_long() has just taken: its value may be a word of its own behind it. */
static const char *word_taken(char **argv)
{
    int i = optind - 1;

    return optarg && optarg == argv[i] ? argv[i - 1] : argv[i];
}

int options_next(int argc, char **argv, const char *letters, const struct option *options)
{
    const char *typed;
    size_t length;
    int index = -1, r = getopt_long(argc, argv, letters, options, &index);

    if (r == '?' || index < 0)
        return r;
    typed = word_taken(argv) + strlen("--");
    length = strcspn(typed, "=");
    if (length == strlen(options[index].name))
        return r;
    /* The word itself is the one before optind, as with any that getopt does not know. */
    if (optarg && optarg == argv[optind - 1])
        optind--;
    optopt = 0;
    if (opterr == 0)
        return '?';
    fprintf(stderr, "%s: unknown option '--%.*s'; did you mean '--%s'?\n", argv[0], (int)length, typed,
            options[index].name);
    return '?';
}
