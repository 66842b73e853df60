/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Lists of devices and their keys, as files that others write and read:
 *
 *   csv        a header line that names the columns: hardware_id, device, settings, identity, key, encoding
 *   mosquitto  identity:hexkey                       emqx  identity:text of the key
 *   golioth    a JSON object a line, as POST provisioning takes it: name, hardwareIds, identity, preSharedKey, type
 *   hono       a JSON object a line: device-id, and credentials as PUT credentials takes them
 *
 * Reading is a worker's, one list at a time, some LIST_ROWS rows a call in bounded memory; nothing here knows what the
 * vault holds. Keys stand in locked memory that is in no core file, and are wiped with the rows. A mistake quotes
 * nothing of the file: what stands in the wrong column may be a key. Writing opens keys, and so is the loop thread's.
 */

#include "vault/vault.h"

#include <stdio.h>

enum list_format { LIST_CSV, LIST_MOSQUITTO, LIST_EMQX, LIST_HONO, LIST_GOLIOTH };
const char *list_format_to_string(enum list_format format);
int list_format_from_string(const char *text);

struct list_row {
    size_t number;                                    /* as an editor or a spreadsheet counts: the first line is 1 */
    char *hardware_id, *device, *settings, *identity; /* NULL: not given */
    size_t key_size;                                  /* 0: none */
    uint8_t key[KEY_MAX];
    char *mistake; /* what is wrong with it; the rest is then not to be used */
};

/* A page of rows; from list_rows_new(). */
struct list_rows {
    size_t n;
    struct list_row rows[LIST_ROWS];
};
/* -ENOMEM; -EPERM: it cannot be locked. */
int list_rows_new(struct list_rows **ret, struct error *e);
void list_rows_clear(struct list_rows *rows);
struct list_rows *list_rows_free(struct list_rows *rows);
DEFINE_FREEP(struct list_rows, list_rows_free)

struct list_reader;
/* Reads a regular file or a memfd, by position: it may be read twice. The descriptor is duplicated. -EINVAL: neither.
 */
int list_reader_new(int fd, enum list_format format, struct list_reader **ret, struct error *e);
struct list_reader *list_reader_free(struct list_reader *l);
DEFINE_FREEP(struct list_reader, list_reader_free)
void list_reader_rewind(struct list_reader *l);
/* Any thread, one at a time. Replaces what the page held. 1: rows, of which some may be mistaken; 0: the end; negative:
 * it cannot be read, or has no header. */
int list_read(struct list_reader *l, struct list_rows *rows, struct error *e);

/* The lines before the first, "" if there are none. */
const char *list_head(enum list_format format);
/* One line with the key of a slot into `line`, which the caller keeps in locked memory. -EILSEQ, -EINVAL: this format
 * cannot say this identity or this key (the words name the device). */
int list_write(struct vault *vault, const struct vault_entry *entry, enum vault_slot slot, enum list_format format,
               const char *hardware_id, char line[LIST_LINE_MAX], size_t *ret_size, struct error *e);

/* Memory that is neither swapped nor dumped, zeroed; freeing wipes it. */
int list_memory_new(size_t size, void **ret, struct error *e);
void list_memory_free(void *memory, size_t size);

/* The key of a row in the arena, for vault_change_put(). */
int list_row_key(struct arena *arena, const struct list_row *row, struct secret **ret);
