/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Any bytes as a list, the first of them its format: read twice, both times the same; what a row has is what it may
 * have. */
#include "vault/csv.h"
#include "vault/list.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(bool good)
{
    if (!good)
        abort();
}

/* A digest of all that is read. */
static uint64_t read_all(struct list_reader *l, struct list_rows *rows)
{
    struct error e = {0};
    uint64_t digest = 0;
    size_t last = 0;
    int r;

    while ((r = list_read(l, rows, &e)) > 0) {
        check(rows->n > 0 && rows->n <= LIST_ROWS);
        for (size_t i = 0; i < rows->n; i++) {
            const struct list_row *row = &rows->rows[i];

            check(row->number > last);
            last = row->number;
            check(row->mistake || row->device);
            check(row->key_size == 0 || (row->key_size >= KEY_MIN && row->key_size <= KEY_MAX));
            digest = digest * 31 + row->number + row->key_size + (row->mistake != NULL);
        }
    }
    check(r == 0 || e.text[0]);
    return digest * 31 + (uint64_t)(r < 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    _cleanup_(list_reader_freep) struct list_reader *l = NULL;
    _cleanup_(list_rows_freep) struct list_rows *rows = NULL;
    struct error e;
    uint64_t first;
    int fd;

    if (size < 1)
        return 0;
    fd = memfd_create("list", MFD_CLOEXEC);
    check(fd >= 0 && write(fd, data + 1, size - 1) == (ssize_t)size - 1);
    check(list_reader_new(fd, (enum list_format)(data[0] % 5), &l, &e) >= 0);
    check(list_rows_new(&rows, &e) >= 0);
    close(fd);
    first = read_all(l, rows);
    list_reader_rewind(l);
    check(read_all(l, rows) == first);
    return 0;
}
