/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Runs a fuzz target over the seeds kept in a folder, without a fuzzer: where there is no libFuzzer, as for another
 * processor under qemu-user. A seed that fails ends the program as it would end a fuzzer. */
#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* A block of just this size, so that a byte read past its end is one past the block's. */
static void run_seed(const char *folder, const char *name)
{
    char path[4096];
    struct stat st;
    uint8_t *data = NULL;
    FILE *f;

    snprintf(path, sizeof(path), "%s/%s", folder, name);
    f = fopen(path, "rbe");
    if (!f || fstat(fileno(f), &st) < 0) {
        perror(path);
        exit(1);
    }
    data = malloc(st.st_size > 0 ? (size_t)st.st_size : 1);
    if (!data || fread(data, 1, (size_t)st.st_size, f) != (size_t)st.st_size) {
        fprintf(stderr, "%s: cannot be read whole\n", path);
        exit(1);
    }
    fclose(f);
    fprintf(stderr, "%s\n", name);
    LLVMFuzzerTestOneInput(data, (size_t)st.st_size);
    free(data);
}

int main(int argc, char **argv)
{
    struct dirent **names;
    int n = argc == 2 ? scandir(argv[1], &names, NULL, alphasort) : -1;
    unsigned seeds = 0;

    if (n < 0) {
        fprintf(stderr, "usage: %s FOLDER\n", argv[0]);
        return 2;
    }
    for (int i = 0; i < n; i++) {
        if (names[i]->d_name[0] != '.') {
            run_seed(argv[1], names[i]->d_name);
            seeds++;
        }
        free(names[i]);
    }
    free(names);
    printf("%u seeds\n", seeds);
    return seeds > 0 ? 0 : 1;
}
