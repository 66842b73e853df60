/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Finds thousands of byte strings in a large file at once.
 *
 * usage: find-bytes FILE <PATTERNS
 *
 * A pattern a line: "NAME HEX", at least 8 bytes. Prints "OFFSET NAME" for each place where one begins. */
#include "base/cleanup.h"
#include "base/encode.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>

#define PATTERN_MIN 8
#define PATTERN_MAX 256
#define BUCKETS (1u << 20)

struct pattern {
    struct pattern *next; /* of the same bucket */
    char *name;
    size_t size;
    uint8_t bytes[PATTERN_MAX];
};

static struct pattern *buckets[BUCKETS];

static struct pattern **bucket(const uint8_t *at)
{
    uint64_t first;

    memcpy(&first, at, sizeof(first));
    return &buckets[(first * UINT64_C(0x9e3779b97f4a7c15)) >> 44];
}

static int add_pattern(char *line)
{
    char *hex = strchr(line, ' ');
    struct pattern *p = calloc(1, sizeof(*p)), **b;
    ssize_t n;

    if (!hex || !p)
        return -EINVAL;
    *hex++ = '\0';
    n = hex_decode(hex, strcspn(hex, "\n"), p->bytes, sizeof(p->bytes));
    if (n < PATTERN_MIN)
        return -EINVAL;
    p->size = (size_t)n;
    p->name = strdup(line);
    b = bucket(p->bytes);
    p->next = *b;
    *b = p;
    return p->name ? 0 : -ENOMEM;
}

static int read_patterns(void)
{
    _cleanup_free_ char *line = NULL;
    size_t size = 0;
    int r = 0;

    while (r >= 0 && getline(&line, &size, stdin) > 0)
        r = add_pattern(line);
    return r;
}

static void search(const uint8_t *data, size_t n)
{
    for (size_t at = 0; at + PATTERN_MIN <= n; at++)
        for (const struct pattern *p = *bucket(data + at); p; p = p->next)
            if (p->size <= n - at && memcmp(p->bytes, data + at, p->size) == 0)
                printf("%zu %s\n", at, p->name);
}

int main(int argc, char **argv)
{
    _cleanup_close_ int fd = argc == 2 ? open(argv[1], O_RDONLY | O_CLOEXEC) : -1;
    struct stat st;
    void *data;

    if (fd < 0 || fstat(fd, &st) < 0) {
        fprintf(stderr, "find-bytes: cannot open %s\nusage: find-bytes FILE <PATTERNS\n",
                argc == 2 ? argv[1] : "nothing");
        return EXIT_FAILURE;
    }
    if (read_patterns() < 0) {
        fprintf(stderr, "find-bytes: not a pattern: expected NAME and %d to %d bytes in hex\n", PATTERN_MIN,
                PATTERN_MAX);
        return EXIT_FAILURE;
    }
    data = st.st_size > 0 ? mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, fd, 0) : MAP_FAILED;
    if (data == MAP_FAILED) {
        fprintf(stderr, "find-bytes: cannot read %s\n", argv[1]);
        return EXIT_FAILURE;
    }
    search(data, (size_t)st.st_size);
    return EXIT_SUCCESS;
}
