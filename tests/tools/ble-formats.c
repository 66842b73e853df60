/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Loads decoder files and prints a line for each: format, vectors passed, what it decrypts, title. Mistakes go to
 * stderr as PATH:PLACE: WORDS, and the status is 1. `--check FILE...` looks at single files only. Status 2: usage. */

#include "ble/decoder.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static bool failed;

static void complain(void *context, const char *path, const char *place, const char *message)
{
    (void)context;
    (void)fprintf(stderr, "%s:%s%s %s\n", path, place, *place ? ":" : "", message);
    failed = true;
}

static int check_file(const char *path)
{
    struct decoder_set *set = decoder_set_new();
    char *text = malloc(DECODER_FILE_MAX);
    FILE *f = fopen(path, "r");
    size_t n = f && text ? fread(text, 1, DECODER_FILE_MAX, f) : 0;

    if (!f || !text || !set || n == DECODER_FILE_MAX)
        complain(NULL, path, "", "cannot be read");
    else
        (void)decoder_set_add_text(set, "own", path, text, n, complain, NULL);
    if (f)
        (void)fclose(f);
    free(text);
    decoder_set_free(set);
    return 0;
}

static int print_directory(const char *directory)
{
    const char *const directories[] = {directory};
    struct decoder_set *set = NULL;
    size_t vectors = 0;

    if (decoder_set_load(directories, 1, complain, NULL, &set) < 0)
        return 1;
    (void)printf("%-26s %7s  %-9s %s\n", "format", "vectors", "decrypts", "title");
    for (size_t i = 0; i < decoder_set_count(set); i++) {
        const struct decoder *d = decoder_set_at(set, i);
        enum cipher cipher = decoder_cipher(d);
        (void)printf("%-26s %7zu  %-9s %s%s\n", decoder_name(d), decoder_vectors(d),
                     cipher == CIPHER_NONE ? "" : cipher_name(cipher), decoder_title(d),
                     decoder_wants_active_scan(d) ? " (active scan)" : "");
        vectors += decoder_vectors(d);
    }
    (void)printf("%zu formats, %zu vectors passed%s\n", decoder_set_count(set), vectors,
                 failed ? "; files were refused" : "");
    decoder_set_free(set);
    return 0;
}

int main(int argc, char **argv)
{
    int r = 0;

    if (argc < 2 || (argc != 2 && strcmp(argv[1], "--check") != 0)) {
        (void)fprintf(stderr, "usage: %s DIRECTORY | --check FILE...\n", argv[0]);
        return 2;
    }
    if (strcmp(argv[1], "--check") != 0)
        r = print_directory(argv[1]);
    for (int i = 2; i < argc; i++)
        r |= check_file(argv[i]);
    return r != 0 || failed;
}
