/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "spool/store.h"

#include "base/limits.h"
#include "base/text.h"
#include "spool/store-internal.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

static const char *const statements[N_STATEMENTS] = {
    [STATEMENT_BEGIN] = "BEGIN IMMEDIATE",
    [STATEMENT_COMMIT] = "COMMIT",
    [STATEMENT_DEVICES] = "SELECT number, id, row, skip, dropped, rejected FROM device",
    [STATEMENT_BOOTS] = "SELECT number, id, offset, sure FROM boot ORDER BY number",
    [STATEMENT_ROWS] = "SELECT seq, device, n, length(data), substr(data, 1, ?3) FROM sample WHERE seq > ?1"
                       " ORDER BY seq LIMIT ?2",
    [STATEMENT_DATA] = "SELECT data FROM sample WHERE seq = ?1",
    [STATEMENT_PUT_ROW] = "INSERT INTO sample (seq, device, n, data) VALUES (?1, ?2, ?3, ?4)",
    [STATEMENT_DELETE_ROWS] = "DELETE FROM sample WHERE seq BETWEEN ?1 AND ?2",
    [STATEMENT_PUT_DEVICE] = "INSERT INTO device (number, id, row, skip, dropped, rejected)"
                             " VALUES (?1, ?2, ?3, ?4, ?5, ?6) ON CONFLICT (number) DO UPDATE SET row = excluded.row,"
                             " skip = excluded.skip, dropped = excluded.dropped, rejected = excluded.rejected"
                             " ON CONFLICT (id) DO UPDATE SET number = excluded.number, row = excluded.row,"
                             " skip = excluded.skip, dropped = excluded.dropped, rejected = excluded.rejected",
    [STATEMENT_DELETE_DEVICE] = "DELETE FROM device WHERE number = ?1",
    [STATEMENT_PUT_BOOT] = "INSERT INTO boot (number, id, offset, sure) VALUES (?1, ?2, ?3, ?4)"
                           " ON CONFLICT (number) DO UPDATE SET offset = excluded.offset, sure = excluded.sure",
    [STATEMENT_PUT_REJECTED] = "INSERT INTO rejected (device, time, point, value, unit, reason)"
                               " VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
    [STATEMENT_TRIM_REJECTED] = "DELETE FROM rejected WHERE number <= (SELECT max(number) FROM rejected) - ?1",
};

int spool_store_failed(const struct spool_store *s, int rc, struct error *e, const char *doing)
{
    return database_failed(s->path, s->db, rc, doing, "", e);
}

static int statement(struct spool_store *s, enum spool_statement which, sqlite3_stmt **ret)
{
    int rc = database_statement(s->db, statements[which], &s->prepared[which]);

    *ret = s->prepared[which];
    return rc;
}

/* ---- Reading ---- */

/* Steps through the statement; `row` below 0 ends it. */
static int walk(struct spool_store *s, sqlite3_stmt *st, int (*row)(sqlite3_stmt *st, void *userdata), void *userdata,
                struct error *e)
{
    int rc, r = 0;

    while (r >= 0 && (rc = sqlite3_step(st)) == SQLITE_ROW)
        r = row(st, userdata);
    if (r >= 0 && rc != SQLITE_DONE)
        r = spool_store_failed(s, rc, e, "read");
    else if (r == -EBADMSG)
        error_set(e, r, "cannot read %s: it holds what no agent writes", s->path);
    else if (r < 0)
        error_errno(e, r, "cannot read %s", s->path);
    database_release(st);
    return r < 0 ? r : 0;
}

struct device_walk {
    int (*device)(const struct stored_device *device, void *userdata);
    void *userdata;
};

static int on_device(sqlite3_stmt *st, void *userdata)
{
    const struct device_walk *walk = userdata;
    const struct stored_device device = {
        .number = (uint32_t)sqlite3_column_int64(st, 0),
        .id = (const char *)sqlite3_column_text(st, 1),
        .row = (uint64_t)sqlite3_column_int64(st, 2),
        .skip = (uint32_t)sqlite3_column_int64(st, 3),
        .dropped = (uint64_t)sqlite3_column_int64(st, 4),
        .rejected = (uint64_t)sqlite3_column_int64(st, 5),
    };

    return device.id ? walk->device(&device, walk->userdata) : -ENOMEM;
}

int spool_store_devices(struct spool_store *s, int (*device)(const struct stored_device *device, void *userdata),
                        void *userdata, struct error *e)
{
    struct device_walk devices = {device, userdata};
    sqlite3_stmt *st;
    int rc = statement(s, STATEMENT_DEVICES, &st);

    return rc == SQLITE_OK ? walk(s, st, on_device, &devices, e) : spool_store_failed(s, rc, e, "read");
}

struct boot_walk {
    int (*boot)(const struct stored_boot *boot, void *userdata);
    void *userdata;
};

static int on_boot(sqlite3_stmt *st, void *userdata)
{
    const struct boot_walk *walk = userdata;
    struct stored_boot boot = {
        .number = (uint32_t)sqlite3_column_int64(st, 0),
        .known = sqlite3_column_type(st, 2) == SQLITE_INTEGER,
        .offset = sqlite3_column_int64(st, 2),
        .sure = sqlite3_column_int(st, 3) != 0,
    };
    const void *id = sqlite3_column_blob(st, 1);

    if (!id || sqlite3_column_bytes(st, 1) != sizeof(boot.id))
        return -EBADMSG;
    memcpy(boot.id, id, sizeof(boot.id));
    return walk->boot(&boot, walk->userdata);
}

int spool_store_boots(struct spool_store *s, int (*boot)(const struct stored_boot *boot, void *userdata),
                      void *userdata, struct error *e)
{
    struct boot_walk boots = {boot, userdata};
    sqlite3_stmt *st;
    int rc = statement(s, STATEMENT_BOOTS, &st);

    return rc == SQLITE_OK ? walk(s, st, on_boot, &boots, e) : spool_store_failed(s, rc, e, "read");
}

struct row_walk {
    int (*row)(const struct stored_row *row, void *userdata);
    void *userdata;
};

static int on_row(sqlite3_stmt *st, void *userdata)
{
    const struct row_walk *walk = userdata;
    struct stored_row row = {
        .seq = (uint64_t)sqlite3_column_int64(st, 0),
        .device = (uint32_t)sqlite3_column_int64(st, 1),
        .n = (uint32_t)sqlite3_column_int64(st, 2),
        .size = (uint32_t)sqlite3_column_int64(st, 3),
    };
    const void *head = sqlite3_column_blob(st, 4);

    if (!head || record_head(head, (size_t)sqlite3_column_bytes(st, 4), &row.head) < 0 || row.n == 0 ||
        row.n > SPOOL_ROW_SAMPLES_MAX)
        return -EBADMSG;
    return walk->row(&row, walk->userdata);
}

int spool_store_rows(struct spool_store *s, uint64_t after, size_t limit,
                     int (*row)(const struct stored_row *row, void *userdata), void *userdata, struct error *e)
{
    struct row_walk rows = {row, userdata};
    sqlite3_stmt *st;
    int rc = statement(s, STATEMENT_ROWS, &st);

    if (rc != SQLITE_OK)
        return spool_store_failed(s, rc, e, "read");
    sqlite3_bind_int64(st, 1, (sqlite3_int64)after);
    sqlite3_bind_int64(st, 2, (sqlite3_int64)limit);
    sqlite3_bind_int(st, 3, RECORD_HEAD_MAX);
    return walk(s, st, on_row, &rows, e);
}

static int on_data(sqlite3_stmt *st, void *userdata)
{
    struct record_buffer *b = userdata;
    const void *data = sqlite3_column_blob(st, 0);
    size_t n = data ? (size_t)sqlite3_column_bytes(st, 0) : 0;
    int r = record_reserve(b, n + 1);

    if (r < 0)
        return r;
    memcpy(b->data + b->size, data ?: "", n);
    b->size += n;
    b->data[b->size] = 1; /* found */
    return 0;
}

int spool_store_data(struct spool_store *s, uint64_t seq, struct record_buffer *ret, struct error *e)
{
    sqlite3_stmt *st;
    int rc = statement(s, STATEMENT_DATA, &st), r = record_reserve(ret, 1);

    if (rc != SQLITE_OK)
        return spool_store_failed(s, rc, e, "read");
    if (r < 0)
        return error_errno(e, r, "cannot read %s", s->path);
    ret->data[ret->size] = 0;
    sqlite3_bind_int64(st, 1, (sqlite3_int64)seq);
    r = walk(s, st, on_data, ret, e);
    if (r < 0)
        return r;
    return ret->data[ret->size] ? 0 : error_set(e, -ENOENT, "%s has no row %" PRIu64, s->path, seq);
}

/* ---- Writing ---- */

static int put_rows(struct spool_store *s, const struct spool_changes *c)
{
    sqlite3_stmt *st;
    int rc = statement(s, STATEMENT_PUT_ROW, &st);

    for (size_t i = 0; rc == SQLITE_OK && i < c->n_rows; i++) {
        sqlite3_bind_int64(st, 1, (sqlite3_int64)c->rows[i].seq);
        sqlite3_bind_int64(st, 2, c->rows[i].device);
        sqlite3_bind_int64(st, 3, c->rows[i].n);
        sqlite3_bind_blob(st, 4, c->data + c->rows[i].at, (int)c->rows[i].size, SQLITE_STATIC);
        rc = database_run(st);
    }
    return rc;
}

static int by_number(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

    return (x > y) - (x < y);
}

/* Neighbours go in one statement. */
static int delete_rows(struct spool_store *s, const struct spool_changes *c)
{
    _cleanup_free_ uint64_t *sorted = malloc((c->n_deletes + 1) * sizeof(*sorted));
    sqlite3_stmt *st;
    int rc = sorted ? statement(s, STATEMENT_DELETE_ROWS, &st) : SQLITE_NOMEM;

    if (rc != SQLITE_OK || c->n_deletes == 0)
        return rc;
    memcpy(sorted, c->deletes, c->n_deletes * sizeof(*sorted));
    qsort(sorted, c->n_deletes, sizeof(*sorted), by_number);
    for (size_t i = 0, end; rc == SQLITE_OK && i < c->n_deletes; i = end) {
        for (end = i + 1; end < c->n_deletes && sorted[end] <= sorted[end - 1] + 1; end++)
            ;
        sqlite3_bind_int64(st, 1, (sqlite3_int64)sorted[i]);
        sqlite3_bind_int64(st, 2, (sqlite3_int64)sorted[end - 1]);
        rc = database_run(st);
    }
    return rc;
}

static int put_device(struct spool_store *s, const struct stored_device *d)
{
    sqlite3_stmt *st;
    int rc = statement(s, d->id ? STATEMENT_PUT_DEVICE : STATEMENT_DELETE_DEVICE, &st);

    if (rc != SQLITE_OK)
        return rc;
    sqlite3_bind_int64(st, 1, d->number);
    if (d->id) {
        sqlite3_bind_text(st, 2, d->id, -1, SQLITE_STATIC);
        sqlite3_bind_int64(st, 3, (sqlite3_int64)d->row);
        sqlite3_bind_int64(st, 4, d->skip);
        sqlite3_bind_int64(st, 5, (sqlite3_int64)d->dropped);
        sqlite3_bind_int64(st, 6, (sqlite3_int64)d->rejected);
    }
    return database_run(st);
}

static int put_boot(struct spool_store *s, const struct stored_boot *b)
{
    sqlite3_stmt *st;
    int rc = statement(s, STATEMENT_PUT_BOOT, &st);

    if (rc != SQLITE_OK)
        return rc;
    sqlite3_bind_int64(st, 1, b->number);
    sqlite3_bind_blob(st, 2, b->id, sizeof(b->id), SQLITE_STATIC);
    if (b->known)
        sqlite3_bind_int64(st, 3, b->offset);
    sqlite3_bind_int(st, 4, b->sure);
    return database_run(st);
}

/* As a person would write it who looks at the table. */
static void bind_value(sqlite3_stmt *st, int at, const struct sample_value *v)
{
    char text[DOUBLE_TEXT_MAX];

    switch (v->type) {
    case SAMPLE_BOOL:
        sqlite3_bind_text(st, at, v->b ? "true" : "false", -1, SQLITE_STATIC);
        return;
    case SAMPLE_INT:
        snprintf(text, sizeof(text), "%" PRId64, v->x);
        break;
    case SAMPLE_UINT:
        snprintf(text, sizeof(text), "%" PRIu64, v->t);
        break;
    case SAMPLE_DOUBLE:
        double_format(v->d, text);
        break;
    case SAMPLE_STRING:
        sqlite3_bind_text(st, at, v->s, -1, SQLITE_STATIC);
        return;
    }
    sqlite3_bind_text(st, at, text, -1, SQLITE_TRANSIENT);
}

static int put_rejected(struct spool_store *s, const struct spool_changes *c)
{
    sqlite3_stmt *st;
    int rc = statement(s, STATEMENT_PUT_REJECTED, &st);

    for (size_t i = 0; rc == SQLITE_OK && i < c->n_rejected; i++) {
        const struct spool_rejected *rejected = &c->rejected[i];

        sqlite3_bind_text(st, 1, rejected->device, -1, SQLITE_STATIC);
        sqlite3_bind_int64(st, 2, (sqlite3_int64)rejected->sample.time);
        sqlite3_bind_text(st, 3, rejected->sample.point, -1, SQLITE_STATIC);
        bind_value(st, 4, &rejected->sample.value);
        sqlite3_bind_text(st, 5, rejected->sample.unit, -1, SQLITE_STATIC);
        sqlite3_bind_text(st, 6, rejected->reason, -1, SQLITE_STATIC);
        rc = database_run(st);
    }
    if (rc == SQLITE_OK)
        rc = statement(s, STATEMENT_TRIM_REJECTED, &st);
    if (rc != SQLITE_OK)
        return rc;
    sqlite3_bind_int(st, 1, SPOOL_REJECTED_MAX);
    return database_run(st);
}

static int put_all(struct spool_store *s, const struct spool_changes *c)
{
    int rc = SQLITE_OK;

    for (size_t i = 0; rc == SQLITE_OK && i < c->n_boots; i++)
        rc = put_boot(s, &c->boots[i]);
    for (size_t i = 0; rc == SQLITE_OK && i < c->n_devices; i++)
        rc = put_device(s, &c->devices[i]);
    if (rc == SQLITE_OK)
        rc = put_rows(s, c);
    if (rc == SQLITE_OK)
        rc = delete_rows(s, c);
    if (rc == SQLITE_OK && c->n_rejected > 0)
        rc = put_rejected(s, c);
    return rc;
}

int spool_store_commit(struct spool_store *s, const struct spool_changes *changes, struct error *e)
{
    sqlite3_stmt *st;
    int rc = statement(s, STATEMENT_BEGIN, &st), r;

    if (rc == SQLITE_OK)
        rc = database_run(st);
    if (rc == SQLITE_OK)
        rc = put_all(s, changes);
    if (rc == SQLITE_OK)
        rc = statement(s, STATEMENT_COMMIT, &st);
    if (rc == SQLITE_OK)
        rc = database_run(st);
    if (rc == SQLITE_OK)
        return 0;
    r = spool_store_failed(s, rc, e, "commit to");
    /* After some errors SQLite has rolled back by itself. */
    if (!sqlite3_get_autocommit(s->db))
        sqlite3_exec(s->db, "ROLLBACK", NULL, NULL, NULL);
    return r;
}
