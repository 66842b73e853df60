/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "vault/store.h"

#include "base/cleanup.h"
#include "base/database.h"
#include "vault/store-internal.h"

#include <assert.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>

static const char *const statements[N_STATEMENTS] = {
    [STATEMENT_BEGIN] = "BEGIN IMMEDIATE",
    [STATEMENT_COMMIT] = "COMMIT",
    [STATEMENT_READ] =
        "SELECT e.device, e.uplink, e.state, r0.record, r1.record, k0.digest, k1.digest"
        " FROM (SELECT * FROM entry WHERE (device, uplink) > (?1, ?2) ORDER BY device, uplink LIMIT ?3) AS e"
        " LEFT JOIN record AS r0 ON r0.device = e.device AND r0.uplink = e.uplink AND r0.slot = 0"
        " LEFT JOIN record AS r1 ON r1.device = e.device AND r1.uplink = e.uplink AND r1.slot = 1"
        " LEFT JOIN key AS k0 ON k0.device = e.device AND k0.uplink = e.uplink AND k0.slot = 0"
        " LEFT JOIN key AS k1 ON k1.device = e.device AND k1.uplink = e.uplink AND k1.slot = 1"
        " ORDER BY e.device, e.uplink",
    /* Those that several devices may have are in the name of what they are. */
    [STATEMENT_READ_KEYS] = "SELECT digest, CASE WHEN uplink IN ('" VAULT_OF_SENSOR "', '" VAULT_OF_LOGIN
                            "') THEN uplink ELSE device END FROM key",
    [STATEMENT_PUT_ENTRY] = "INSERT INTO entry (device, uplink, state) VALUES (?1, ?2, ?3)"
                            " ON CONFLICT (device, uplink) DO UPDATE SET state = excluded.state",
    [STATEMENT_PUT_RECORD] = "INSERT INTO record (device, uplink, slot, record) VALUES (?1, ?2, ?3, ?4)"
                             " ON CONFLICT (device, uplink, slot) DO UPDATE SET record = excluded.record",
    [STATEMENT_DELETE_RECORD] = "DELETE FROM record WHERE device = ?1 AND uplink = ?2 AND slot = ?3",
    [STATEMENT_RETIRE_KEY] = "UPDATE key SET slot = NULL WHERE device = ?1 AND uplink = ?2 AND slot = ?3",
    [STATEMENT_PUT_VERSIONS] = "INSERT INTO subkey (name, sealed) VALUES ('versions', ?1)"
                               " ON CONFLICT (name) DO UPDATE SET sealed = excluded.sealed",
    [STATEMENT_READ_VERSIONS] = "SELECT sealed FROM subkey WHERE name = 'versions'",
    [STATEMENT_PUT_KEY] = "INSERT INTO key (device, uplink, slot, digest) VALUES (?1, ?2, ?3, ?4)",
};

int store_failed(const struct store *s, int rc, struct error *e, const char *doing)
{
    return database_failed(s->path, s->db, rc, doing, ADVICE, e);
}

static int statement(struct store *s, enum statement which, sqlite3_stmt **ret)
{
    int rc = database_statement(s->db, statements[which], &s->prepared[which]);

    *ret = s->prepared[which];
    return rc;
}

static void bind_names(sqlite3_stmt *st, const char *device, const char *uplink)
{
    sqlite3_bind_text(st, 1, device, -1, SQLITE_STATIC);
    sqlite3_bind_text(st, 2, uplink, -1, SQLITE_STATIC);
}

static int run_slot(struct store *s, enum statement which, const struct store_write *w, int slot, const uint8_t *data,
                    size_t size)
{
    sqlite3_stmt *st;
    int rc = statement(s, which, &st);

    if (rc != SQLITE_OK)
        return rc;
    bind_names(st, w->device, w->uplink);
    if (slot >= 0)
        sqlite3_bind_int(st, 3, slot);
    if (data)
        sqlite3_bind_blob(st, 4, data, (int)size, SQLITE_STATIC);
    return database_run(st);
}

static int write_slots(struct store *s, const struct store_write *w)
{
    int rc = SQLITE_OK;

    for (int i = 0; rc == SQLITE_OK && i < 2; i++) {
        if (w->slots[i].retire_key)
            rc = run_slot(s, STATEMENT_RETIRE_KEY, w, i, NULL, 0);
        if (rc == SQLITE_OK && w->slots[i].changed)
            rc = run_slot(s, w->slots[i].record ? STATEMENT_PUT_RECORD : STATEMENT_DELETE_RECORD, w, i,
                          w->slots[i].record, w->slots[i].size);
    }
    for (size_t i = 0; rc == SQLITE_OK && i < w->n_keys; i++)
        rc = run_slot(s, STATEMENT_PUT_KEY, w, w->keys[i].slot, w->keys[i].digest, DIGEST_SIZE);
    return rc;
}

int store_write(struct store *s, const struct store_write *w, struct error *e)
{
    sqlite3_stmt *st;
    int rc = statement(s, STATEMENT_PUT_ENTRY, &st);

    if (rc == SQLITE_OK) {
        bind_names(st, w->device, w->uplink);
        sqlite3_bind_blob(st, 3, w->state, (int)w->state_size, SQLITE_STATIC);
        rc = database_run(st);
    }
    if (rc == SQLITE_OK)
        rc = write_slots(s, w);
    return rc == SQLITE_OK ? 0 : store_failed(s, rc, e, "write");
}

/* Among the vault's own keys, which a version that knows of none leaves alone. */
int store_write_versions(struct store *s, const uint8_t *sealed, size_t n, struct error *e)
{
    sqlite3_stmt *st;
    int rc = statement(s, STATEMENT_PUT_VERSIONS, &st);

    if (rc == SQLITE_OK) {
        sqlite3_bind_blob(st, 1, sealed, (int)n, SQLITE_STATIC);
        rc = database_run(st);
    }
    return rc == SQLITE_OK ? 0 : store_failed(s, rc, e, "write");
}

int store_begin(struct store *s, struct error *e)
{
    sqlite3_stmt *st;
    int rc = statement(s, STATEMENT_BEGIN, &st);

    if (rc == SQLITE_OK)
        rc = database_run(st);
    return rc == SQLITE_OK ? 0 : store_failed(s, rc, e, "write");
}

int store_commit(struct store *s, struct error *e)
{
    sqlite3_stmt *st;
    int rc = statement(s, STATEMENT_COMMIT, &st), r;

    if (rc == SQLITE_OK)
        rc = database_run(st);
    if (rc == SQLITE_OK)
        return 0;
    r = store_failed(s, rc, e, "commit to");
    store_rollback(s);
    return r;
}

void store_rollback(struct store *s)
{
    /* After some errors SQLite has rolled back by itself. */
    if (!sqlite3_get_autocommit(s->db))
        sqlite3_exec(s->db, "ROLLBACK", NULL, NULL, NULL);
}

int store_checkpoint(struct store *s, struct error *e)
{
    int rc = sqlite3_wal_checkpoint_v2(s->db, "main", SQLITE_CHECKPOINT_TRUNCATE, NULL, NULL);

    return rc == SQLITE_OK ? 0 : store_failed(s, rc, e, "checkpoint");
}

int store_image(struct store *s, uint8_t **ret, size_t *ret_size, struct error *e)
{
    sqlite3_int64 size = 0;
    uint8_t *image = sqlite3_serialize(s->db, "main", &size, 0);

    if (!image)
        return error_set(e, -ENOMEM, "out of memory for a copy of %s", s->path);
    *ret = image;
    *ret_size = (size_t)size;
    return 0;
}

void store_image_free(uint8_t *image)
{
    sqlite3_free(image);
}

static const uint8_t *blob(sqlite3_stmt *st, int column, size_t *ret_size)
{
    const uint8_t *data = sqlite3_column_blob(st, column);

    *ret_size = data ? (size_t)sqlite3_column_bytes(st, column) : 0;
    return data;
}

static void read_row(sqlite3_stmt *st, struct store_row *row)
{
    row->device = (const char *)sqlite3_column_text(st, 0);
    row->uplink = (const char *)sqlite3_column_text(st, 1);
    row->state = blob(st, 2, &row->state_size);
    for (int i = 0; i < 2; i++) {
        size_t digest_size;

        row->slots[i].record = blob(st, 3 + i, &row->slots[i].size);
        row->slots[i].digest = blob(st, 5 + i, &digest_size);
        if (digest_size != DIGEST_SIZE)
            row->slots[i].digest = NULL;
    }
}

int store_read_versions(struct store *s, uint8_t *ret, size_t size, size_t *ret_size, struct error *e)
{
    sqlite3_stmt *st;
    int rc = statement(s, STATEMENT_READ_VERSIONS, &st);

    *ret_size = 0;
    if (rc == SQLITE_OK)
        rc = sqlite3_step(st);
    if (rc == SQLITE_ROW) {
        size_t n;
        const uint8_t *data = blob(st, 0, &n);

        /* Of another size it opens no better than without its end. */
        *ret_size = MIN_OF(n, size);
        memcpy(ret, data, *ret_size);
    }
    sqlite3_reset(st);
    return rc == SQLITE_ROW || rc == SQLITE_DONE ? 0 : store_failed(s, rc, e, "read");
}

int store_read(struct store *s, const char *after_device, const char *after_uplink, size_t limit,
               int (*row)(const struct store_row *row, void *userdata), void *userdata, struct error *e)
{
    sqlite3_stmt *st;
    int rc = statement(s, STATEMENT_READ, &st), r = 0;

    if (rc != SQLITE_OK)
        return store_failed(s, rc, e, "read");
    bind_names(st, after_device, after_uplink);
    sqlite3_bind_int64(st, 3, limit > 0 ? (sqlite3_int64)limit : -1);
    while (r >= 0 && (rc = sqlite3_step(st)) == SQLITE_ROW) {
        struct store_row values = {0};

        read_row(st, &values);
        r = values.device && values.uplink ? row(&values, userdata) : -ENOMEM;
    }
    sqlite3_reset(st);
    sqlite3_clear_bindings(st);
    if (r < 0)
        return error_errno(e, r, "cannot read %s", s->path);
    return rc == SQLITE_DONE ? 0 : store_failed(s, rc, e, "read");
}

int store_read_keys(struct store *s, int (*row)(const uint8_t *digest, const char *device, void *userdata),
                    void *userdata, struct error *e)
{
    sqlite3_stmt *st;
    int rc = statement(s, STATEMENT_READ_KEYS, &st), r = 0;

    if (rc != SQLITE_OK)
        return store_failed(s, rc, e, "read");
    while (r >= 0 && (rc = sqlite3_step(st)) == SQLITE_ROW) {
        size_t n;
        const uint8_t *digest = blob(st, 0, &n);
        const char *device = (const char *)sqlite3_column_text(st, 1);

        if (n == DIGEST_SIZE && device)
            r = row(digest, device, userdata);
    }
    sqlite3_reset(st);
    if (r < 0)
        return error_errno(e, r, "cannot read %s", s->path);
    return rc == SQLITE_DONE ? 0 : store_failed(s, rc, e, "read");
}

int store_check(struct store *s, struct error *e)
{
    return database_check(s->path, s->db, ADVICE, e);
}

struct store *store_free(struct store *s)
{
    if (!s)
        return NULL;
    for (int i = 0; i < N_STATEMENTS; i++)
        sqlite3_finalize(s->prepared[i]);
    sqlite3_close(s->db);
    safe_close(s->lock_fd);
    free(s->path);
    free(s);
    return NULL;
}
