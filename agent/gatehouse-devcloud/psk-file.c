/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "psk-file.h"

#include "store.h"

#include "base/cleanup.h"
#include "base/durable.h"
#include "base/encode.h"
#include "base/id.h"

#include <fcntl.h>
#include <gnutls/gnutls.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PSK_FILE_MAX (16 * 1024 * 1024)

static int parse_psk_line(char *line, struct psk_line *ret, struct error *e)
{
    char *hex = strchr(line, ':'), *device;
    ssize_t n;

    if (!hex)
        return error_set(e, -EINVAL, "expected identity:hexkey or identity:hexkey:device");
    *hex++ = 0;
    device = strchr(hex, ':');
    if (device)
        *device++ = 0;
    n = hex_decode(hex, strlen(hex), ret->key, sizeof(ret->key));
    if (n < 0)
        return error_set(e, -EINVAL, "the key is not %d to %d bytes in hex", KEY_MIN, KEY_MAX);
    ret->key_size = (size_t)n;
    if (device && !id_valid(device))
        return error_set(e, -EINVAL, "device id '%.64s': expected %s", device, ID_RULE);
    if (credential_check(line, ret->key_size, e) < 0)
        return -EINVAL;
    snprintf(ret->identity, sizeof(ret->identity), "%s", line);
    snprintf(ret->device, sizeof(ret->device), "%s", device ?: "");
    return 0;
}

void psk_lines_free(struct psk_line *lines, size_t n)
{
    if (lines)
        gnutls_memset(lines, 0, n * sizeof(*lines));
    free(lines);
}

const struct psk_line *psk_lines_find(const struct psk_line *lines, size_t n, const char *identity)
{
    for (size_t i = 0; i < n; i++)
        if (strcmp(lines[i].identity, identity) == 0)
            return &lines[i];
    return NULL;
}

int psk_file_read(const char *path, struct psk_line **ret, size_t *ret_n, struct error *e)
{
    _cleanup_free_ char *text = NULL;
    struct psk_line *lines;
    char *rest, *line;
    size_t size, number = 0, most = 1, n = 0;
    int r = file_read(AT_FDCWD, path, PSK_FILE_MAX, &text, &size, e);

    if (r < 0)
        return r;
    for (size_t i = 0; i < size; i++)
        most += text[i] == '\n';
    lines = calloc(most, sizeof(*lines));
    rest = text;
    if (!lines)
        r = -ENOMEM;
    while (r >= 0 && (line = strsep(&rest, "\n"))) {
        number++;
        if (*line && *line != '#') {
            r = parse_psk_line(line, &lines[n], e);
            n += r >= 0;
        }
    }
    gnutls_memset(text, 0, size);
    if (r < 0) {
        psk_lines_free(lines, most);
        return error_prefix(e, r, "%s:%zu", path, number);
    }
    *ret = lines;
    *ret_n = n;
    return 0;
}

bool psk_line_equal(const struct psk_line *a, const struct psk_line *b)
{
    return a->key_size == b->key_size && gnutls_memcmp(a->key, b->key, a->key_size) == 0 &&
           strcmp(a->device, b->device) == 0;
}
