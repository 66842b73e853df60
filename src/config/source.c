/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Files and texts as the readers of each section take them. */
#include "base/durable.h"
#include "base/hash.h"
#include "base/limits.h"
#include "config/internal.h"

#include <fcntl.h>
#include <string.h>

void config_copy(struct reader *r, const char *text, char **ret)
{
    *ret = strdup(text);
    if (!*ret)
        r->mistakes->failed = -ENOMEM;
}

uint64_t config_digest(const char *text, size_t n)
{
    return hash_bytes(HASH_BEGIN, text, n);
}

int config_read_file(const char *path, char **ret_text, size_t *ret_size, struct mistakes *mistakes)
{
    struct error e = {""};
    int r;

    r = file_read(AT_FDCWD, path, CONFIG_FILE_MAX, ret_text, ret_size, &e);
    if (r == -ENOMEM)
        return r;
    if (r < 0) {
        const char *text = strncmp(e.text, path, strlen(path)) == 0 ? e.text + strlen(path) + 1 : e.text;

        mistakes_add(mistakes, path, 0, 0, NULL, "%s", text);
        return -EBADMSG;
    }
    return 0;
}
