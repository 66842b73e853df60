/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A header that names the columns, and the rows below it. */
#include "vault/csv.h"
#include "vault/list-internal.h"

#include <ctype.h>
#include <string.h>

static const struct {
    const char *name;
    enum list_column column;
} columns[] = {
    {"hardware_id", COLUMN_HARDWARE_ID},
    {"device", COLUMN_DEVICE},
    {"device_id", COLUMN_DEVICE},
    {"settings", COLUMN_SETTINGS},
    {"driver_settings", COLUMN_SETTINGS},
    {"identity", COLUMN_IDENTITY},
    {"key", COLUMN_KEY},
    {"encoding", COLUMN_ENCODING},
};

#define HEADER_EXPECTED                                                                                                \
    "expected a header line that names columns among hardware_id, device, settings, identity, key, encoding"

/* "Device ID" and "device_id" are the same. */
static int column_of(const char *field, size_t n)
{
    char name[32];

    if (n >= sizeof(name))
        return -EINVAL;
    for (size_t i = 0; i <= n; i++)
        name[i] = field[i] == ' ' || field[i] == '-' ? '_' : (char)tolower((unsigned char)field[i]);
    for (size_t i = 0; i < ELEMENTSOF(columns); i++)
        if (strcmp(columns[i].name, name) == 0)
            return (int)columns[i].column;
    return -EINVAL;
}

static int read_header(struct list_reader *l, const struct csv_record *record, struct error *e)
{
    for (size_t i = 0; i < LIST_COLUMNS; i++)
        l->places[i] = -1;
    for (size_t i = 0; i < record->n; i++) {
        const char *field = record->fields[i];
        size_t n = record->lengths[i];
        int column;

        /* The byte order mark that spreadsheets write before UTF-8. */
        if (i == 0 && strncmp(field, "\xef\xbb\xbf", 3) == 0) {
            field += 3;
            n -= 3;
        }
        column = column_of(field, n);
        if (column < 0)
            return error_set(e, -EINVAL, "row 1, column %zu: no such column; " HEADER_EXPECTED, i + 1);
        if (l->places[column] >= 0)
            return error_set(e, -EINVAL, "row 1, column %zu: the same column twice", i + 1);
        l->places[column] = (int)i;
    }
    if (l->places[COLUMN_DEVICE] < 0)
        return error_set(e, -EINVAL, "row 1: there is no column device; " HEADER_EXPECTED);
    l->n_fields = record->n;
    l->headed = true;
    return LIST_SKIP;
}

static const char *field_of(const struct list_reader *l, const struct csv_record *record, enum list_column column,
                            size_t *ret_size)
{
    int place = l->places[column];

    *ret_size = place < 0 ? 0 : record->lengths[place];
    return place < 0 ? "" : record->fields[place];
}

static int read_encoding(const struct list_reader *l, const struct csv_record *record, struct list_row *row,
                         enum vault_encoding *ret)
{
    size_t n;
    const char *text = field_of(l, record, COLUMN_ENCODING, &n);
    int encoding = n == 0 ? VAULT_HEX : vault_encoding_from_string(text);

    if (encoding < 0 || encoding == VAULT_RAW)
        return list_mistake(row, "encoding", "expected hex, base64 or text");
    *ret = (enum vault_encoding)encoding;
    return 0;
}

/* JSON has line ends. */
static int read_settings(const struct list_reader *l, const struct csv_record *record, struct list_row *row)
{
    size_t n;
    const char *text = field_of(l, record, COLUMN_SETTINGS, &n);

    if (n == 0)
        return 0;
    row->settings = strndup(text, n);
    return row->settings ? 0 : -ENOMEM;
}

static int read_fields(const struct list_reader *l, const struct csv_record *record, struct list_row *row)
{
    static const struct {
        enum list_column column;
        const char *name;
        size_t offset;
    } texts[] = {{COLUMN_HARDWARE_ID, "hardware_id", offsetof(struct list_row, hardware_id)},
                 {COLUMN_DEVICE, "device", offsetof(struct list_row, device)},
                 {COLUMN_IDENTITY, "identity", offsetof(struct list_row, identity)}};
    enum vault_encoding encoding = VAULT_HEX;
    const char *text;
    size_t n;
    int r = 0;

    for (size_t i = 0; r >= 0 && !row->mistake && i < ELEMENTSOF(texts); i++) {
        text = field_of(l, record, texts[i].column, &n);
        r = list_set_text(row, texts[i].name, text, n, (char **)(void *)((char *)row + texts[i].offset));
    }
    if (r >= 0 && !row->mistake)
        r = read_settings(l, record, row);
    if (r >= 0 && !row->mistake)
        r = read_encoding(l, record, row, &encoding);
    text = field_of(l, record, COLUMN_KEY, &n);
    if (r >= 0 && !row->mistake && n > 0)
        r = list_set_key(row, encoding, text, n);
    if (r >= 0 && !row->mistake && !row->device)
        r = list_mistake(row, "device", "empty");
    return r;
}

int list_read_csv(struct list_reader *l, struct list_row *row, size_t *ret_used, struct error *e)
{
    struct csv_record record;
    const char *why = NULL;
    char *text = l->buffer + l->begin;
    size_t n = MIN_OF(l->end - l->begin, (size_t)LIST_RECORD_MAX);
    bool last = l->ended && n == l->end - l->begin;
    int r = csv_read(text, n, last, &record, ret_used, &why);

    if (r == 0) {
        char *line = memchr(text, '\n', n);

        *ret_used = line ? (size_t)(line - text) + 1 : n;
        why = "it is longer than " LIST_RECORD_TEXT ", or a quote is not closed";
        r = -EBADMSG;
    }
    if (r < 0 && !l->headed)
        return error_set(e, -EINVAL, "row 1: %s; " HEADER_EXPECTED, why);
    if (r < 0)
        return list_mistake(row, NULL, why);
    if (!l->headed)
        return read_header(l, &record, e);
    if (record.n == 1 && record.lengths[0] == 0)
        return LIST_SKIP;
    if (record.n != l->n_fields)
        return list_mistake(row, NULL, "it has not as many fields as the header");
    return read_fields(l, &record, row);
}
