/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Lock, creation and opening of vault.db. */
#include "base/cleanup.h"
#include "base/database.h"
#include "base/durable.h"
#include "vault/store-internal.h"

#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#define APPLICATION_ID 0x47485631 /* "GHV1" */
#define STRINGIFY(x) #x
#define STRING(x) STRINGIFY(x)

/* Format 1, kept for ever. `wrap` has room for a second wrap of the same vault key; `slot` is physical; a key row
 * without a slot is retired. */
static const char schema[] =
    "CREATE TABLE vault (id INTEGER PRIMARY KEY CHECK (id = 1), format INTEGER NOT NULL, vault_id BLOB NOT NULL,"
    " epoch INTEGER NOT NULL) STRICT;"
    "CREATE TABLE wrap (kind TEXT PRIMARY KEY, epoch INTEGER NOT NULL, bound INTEGER NOT NULL, key_check BLOB NOT NULL,"
    " sealed BLOB NOT NULL) STRICT;"
    "CREATE TABLE subkey (name TEXT PRIMARY KEY, sealed BLOB NOT NULL) STRICT;"
    "CREATE TABLE entry (device TEXT NOT NULL, uplink TEXT NOT NULL, state BLOB NOT NULL,"
    " PRIMARY KEY (device, uplink)) STRICT, WITHOUT ROWID;"
    "CREATE TABLE record (device TEXT NOT NULL, uplink TEXT NOT NULL, slot INTEGER NOT NULL CHECK (slot IN (0, 1)),"
    " record BLOB NOT NULL, PRIMARY KEY (device, uplink, slot),"
    " FOREIGN KEY (device, uplink) REFERENCES entry (device, uplink)) STRICT, WITHOUT ROWID;"
    "CREATE TABLE key (digest BLOB NOT NULL PRIMARY KEY, device TEXT NOT NULL, uplink TEXT NOT NULL,"
    " slot INTEGER CHECK (slot IN (0, 1))) STRICT, WITHOUT ROWID;"
    "CREATE UNIQUE INDEX key_holder ON key (device, uplink, slot) WHERE slot IS NOT NULL;"
    "PRAGMA application_id = " STRING(APPLICATION_ID) ";"
                                                      "PRAGMA user_version = " STRING(VAULT_FORMAT) ";";

void store_settle(const char *path)
{
    sqlite3 *db = NULL;
    int keep = 1;

    if (sqlite3_open_v2(path, &db, SQLITE_OPEN_READWRITE, NULL) == SQLITE_OK) {
        sqlite3_file_control(db, "main", SQLITE_FCNTL_PERSIST_WAL, &keep);
        keep = sqlite3_exec(db, "SELECT count(*) FROM entry", NULL, NULL, NULL) != SQLITE_OK ||
               sqlite3_exec(db, "PRAGMA wal_checkpoint(TRUNCATE)", NULL, NULL, NULL) != SQLITE_OK;
        sqlite3_file_control(db, "main", SQLITE_FCNTL_PERSIST_WAL, &keep);
    }
    sqlite3_close(db);
}

int store_new(const char *path, struct store **ret, struct error *e)
{
    _cleanup_(store_freep) struct store *s = calloc(1, sizeof(*s));
    int r;

    if (!s)
        return -ENOMEM;
    s->lock_fd = -EBADF;
    s->path = strdup(path);
    if (!s->path)
        return -ENOMEM;
    r = database_lock(path, &s->lock_fd, e);
    if (r < 0)
        return r;
    *ret = TAKE_PTR(s);
    return 0;
}

int store_exists(const struct store *s, struct error *e)
{
    static const char *const logs[] = {"-wal", "-journal"};
    char path[PATH_MAX];
    struct stat st;

    if (lstat(s->path, &st) >= 0)
        return 1;
    if (errno != ENOENT)
        return error_errno(e, -errno, "cannot look at %s", s->path);
    /* SQLite would play such a log into whatever gets the name. */
    for (size_t i = 0; i < ELEMENTSOF(logs); i++) {
        if (snprintf(path, sizeof(path), "%s%s", s->path, logs[i]) >= (int)sizeof(path))
            return error_set(e, -ENAMETOOLONG, "%s: the path is too long", s->path);
        if (lstat(path, &st) >= 0 && st.st_size > 0)
            return error_set(e, -EBADMSG, "%s is missing, but its log %s is there: restore it, or move the log away",
                             s->path, path);
    }
    return 0;
}

/* One row of up to five values in the order text, integer, integer, blob, blob; what is NULL or negative is not there.
 */
struct row {
    const char *sql;
    const char *text;
    sqlite3_int64 integers[2];
    const void *blobs[2];
    int sizes[2];
};

static int insert(struct store *s, const struct row *row)
{
    sqlite3_stmt *st = NULL;
    int rc = sqlite3_prepare_v2(s->db, row->sql, -1, &st, NULL), at = 1;

    if (rc == SQLITE_OK && row->text)
        sqlite3_bind_text(st, at++, row->text, -1, SQLITE_STATIC);
    for (int i = 0; rc == SQLITE_OK && i < 2 && row->integers[i] >= 0; i++)
        sqlite3_bind_int64(st, at++, row->integers[i]);
    for (int i = 0; rc == SQLITE_OK && i < 2 && row->blobs[i]; i++)
        sqlite3_bind_blob(st, at++, row->blobs[i], row->sizes[i], SQLITE_STATIC);
    if (rc == SQLITE_OK && sqlite3_step(st) != SQLITE_DONE)
        rc = sqlite3_reset(st);
    sqlite3_finalize(st);
    return rc;
}

static int insert_keys(struct store *s, const struct sealed_keys *k)
{
    static const char wrap[] = "INSERT OR REPLACE INTO wrap VALUES (?1, ?2, ?3, ?4, ?5)",
                      subkey[] = "INSERT OR REPLACE INTO subkey VALUES (?1, ?2)";
    const sqlite3_int64 epoch = (sqlite3_int64)k->epoch;
    const struct row rows[] = {
        {"INSERT OR REPLACE INTO vault (id, format, epoch, vault_id) VALUES (1, ?1, ?2, ?3)",
         NULL,
         {VAULT_FORMAT, epoch},
         {k->vault_id},
         {VAULT_ID_SIZE}},
        {wrap, WRAP_KEYFILE, {epoch, k->bound}, {k->keyfile_check, k->wrap}, {KEYFILE_CHECK_SIZE, WRAP_SIZE}},
        {subkey, "index", {-1, -1}, {k->index}, {WRAP_SIZE}},
        {subkey, "fingerprint", {-1, -1}, {k->fingerprint}, {WRAP_SIZE}},
        {subkey, "identity", {-1, -1}, {k->identity}, {WRAP_SIZE}},
    };
    const struct row recovery = {
        wrap, WRAP_RECOVERY, {epoch, 0}, {k->recovery_check, k->recovery}, {KEYFILE_CHECK_SIZE, WRAP_SIZE}};
    int rc = SQLITE_OK;

    for (size_t i = 0; rc == SQLITE_OK && i < ELEMENTSOF(rows); i++)
        rc = insert(s, &rows[i]);
    return rc == SQLITE_OK && k->has_recovery ? insert(s, &recovery) : rc;
}

int store_write_keys(struct store *s, const struct sealed_keys *keys, struct error *e)
{
    int rc = sqlite3_exec(s->db, "DELETE FROM wrap", NULL, NULL, NULL);

    if (rc == SQLITE_OK)
        rc = insert_keys(s, keys);
    return rc == SQLITE_OK ? 0 : store_failed(s, rc, e, "write");
}

/* Fills a file that nobody sees yet; afterwards it is closed, in WAL mode, and without a log. */
static int fill(struct store *s, const char *path, const struct sealed_keys *keys, struct error *e)
{
    int rc = sqlite3_open_v2(path, &s->db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_FULLMUTEX, NULL), r;

    if (rc != SQLITE_OK)
        return store_failed(s, rc, e, "make");
    sqlite3_extended_result_codes(s->db, 1);
    rc = sqlite3_exec(s->db, "PRAGMA locking_mode=EXCLUSIVE; PRAGMA journal_mode=MEMORY; BEGIN", NULL, NULL, NULL);
    if (rc == SQLITE_OK)
        rc = sqlite3_exec(s->db, schema, NULL, NULL, NULL);
    if (rc == SQLITE_OK)
        rc = insert_keys(s, keys);
    if (rc == SQLITE_OK)
        rc = sqlite3_exec(s->db, "COMMIT; PRAGMA journal_mode=WAL", NULL, NULL, NULL);
    r = rc == SQLITE_OK ? 0 : store_failed(s, rc, e, "make");
    rc = sqlite3_close(s->db);
    s->db = NULL;
    return r < 0 ? r : rc == SQLITE_OK ? 0 : store_failed(s, rc, e, "make");
}

/* Gives the complete file its name, unless there is one. */
static int publish(const char *temporary, const char *path, int fd)
{
    if (fsync(fd) < 0 || link(temporary, path) < 0)
        return -errno;
    return durable_sync_directory(AT_FDCWD, path);
}

static void remove_temporary(const char *path)
{
    static const char *const also[] = {"", "-wal", "-journal"};
    char name[PATH_MAX];

    for (size_t i = 0; i < ELEMENTSOF(also); i++)
        if (snprintf(name, sizeof(name), "%s%s", path, also[i]) < (int)sizeof(name))
            unlink(name);
}

int store_create(struct store *s, const struct sealed_keys *keys, struct error *e)
{
    _cleanup_close_ int fd = -EBADF;
    char path[PATH_MAX];
    int r;

    if (snprintf(path, sizeof(path), "%s.new~", s->path) >= (int)sizeof(path))
        return error_set(e, -ENAMETOOLONG, "%s: the path is too long", s->path);
    remove_temporary(path);
    fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (fd < 0)
        return error_errno(e, -errno, "cannot make %s", s->path);
    r = fill(s, path, keys, e);
    if (r >= 0) {
        r = publish(path, s->path, fd);
        if (r < 0)
            error_errno(e, r, "cannot make %s", s->path);
    }
    remove_temporary(path);
    return r;
}

/* Looks at the header without SQLite, which would already play a foreign file's log back. */
static int check_header(const struct store *s, struct error *e)
{
    _cleanup_close_ int fd = open(s->path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NOCTTY | O_NONBLOCK);
    uint8_t header[DATABASE_HEADER_SIZE];
    struct stat st;
    ssize_t n;

    if (fd < 0 || fstat(fd, &st) < 0)
        return error_errno(e, -errno, "cannot open %s", s->path);
    if (!S_ISREG(st.st_mode))
        return error_set(e, -EMEDIUMTYPE, "%s is not a regular file", s->path);
    if (st.st_size == 0)
        return error_set(e, -EMEDIUMTYPE, "%s is empty, not a vault: restore a backup, or remove it", s->path);
    n = pread(fd, header, sizeof(header), 0);
    if (n < 0)
        return error_errno(e, -errno, "cannot read %s", s->path);
    if (n < DATABASE_HEADER_SIZE || memcmp(header, "SQLite format 3", 16) != 0)
        return error_set(e, -EMEDIUMTYPE, "%s is not a vault: no database at all, left as it is", s->path);
    if (database_header_number(header, 68) != APPLICATION_ID)
        return error_set(e, -EMEDIUMTYPE, "%s is not a vault: another program's database, left as it is", s->path);
    if (database_header_number(header, 60) != VAULT_FORMAT)
        return error_set(e, -EPROTONOSUPPORT, "%s has format %u, this version knows format %d: install a later version",
                         s->path, database_header_number(header, 60), VAULT_FORMAT);
    return 0;
}

static int read_blob(sqlite3_stmt *st, int column, uint8_t *ret, int size)
{
    const void *data = sqlite3_column_blob(st, column);

    if (!data || sqlite3_column_bytes(st, column) != size)
        return -EBADMSG;
    memcpy(ret, data, (size_t)size);
    return 0;
}

/* One that is damaged or of another epoch opens nothing, and counts as none. */
static int read_recovery(struct store *s, struct sealed_keys *ret, struct error *e)
{
    static const char sql[] = "SELECT key_check, sealed, epoch FROM wrap WHERE kind = '" WRAP_RECOVERY "'";
    sqlite3_stmt *st = NULL;
    int rc = sqlite3_prepare_v2(s->db, sql, -1, &st, NULL);

    if (rc == SQLITE_OK)
        rc = sqlite3_step(st);
    ret->has_recovery = rc == SQLITE_ROW && (uint64_t)sqlite3_column_int64(st, 2) == ret->epoch &&
                        read_blob(st, 0, ret->recovery_check, KEYFILE_CHECK_SIZE) >= 0 &&
                        read_blob(st, 1, ret->recovery, WRAP_SIZE) >= 0;
    sqlite3_finalize(st);
    return rc == SQLITE_ROW || rc == SQLITE_DONE ? 0 : store_failed(s, rc, e, "open");
}

static int read_keys(struct store *s, struct sealed_keys *ret, struct error *e)
{
    static const char sql[] = "SELECT v.vault_id, v.epoch, w.bound, w.key_check, w.sealed, i.sealed, f.sealed, n.sealed"
                              " FROM vault AS v, wrap AS w, subkey AS i, subkey AS f, subkey AS n"
                              " WHERE v.id = 1 AND w.kind = '" WRAP_KEYFILE "' AND w.epoch = v.epoch"
                              " AND i.name = 'index' AND f.name = 'fingerprint' AND n.name = 'identity'";
    sqlite3_stmt *st = NULL;
    int rc = sqlite3_prepare_v2(s->db, sql, -1, &st, NULL), r = 0;

    if (rc == SQLITE_OK)
        rc = sqlite3_step(st);
    if (rc == SQLITE_ROW) {
        ret->epoch = (uint64_t)sqlite3_column_int64(st, 1);
        ret->bound = sqlite3_column_int(st, 2) != 0;
        if (read_blob(st, 0, ret->vault_id, VAULT_ID_SIZE) < 0 ||
            read_blob(st, 3, ret->keyfile_check, KEYFILE_CHECK_SIZE) < 0 ||
            read_blob(st, 4, ret->wrap, WRAP_SIZE) < 0 || read_blob(st, 5, ret->index, WRAP_SIZE) < 0 ||
            read_blob(st, 6, ret->fingerprint, WRAP_SIZE) < 0 || read_blob(st, 7, ret->identity, WRAP_SIZE) < 0)
            r = error_set(e, -EBADMSG, "%s is corrupt (a key of its own is cut off); restore a backup", s->path);
    } else if (rc == SQLITE_DONE || rc == SQLITE_ERROR) {
        r = error_set(e, -EBADMSG, "%s is corrupt (its own keys are missing); restore a backup", s->path);
    } else {
        r = store_failed(s, rc, e, "open");
    }
    sqlite3_finalize(st);
    return r;
}

int store_open(struct store *s, struct sealed_keys *ret_keys, struct error *e)
{
    struct sealed_keys keys = {0};
    int r = check_header(s, e);

    if (r >= 0)
        r = database_open(s->path, "PRAGMA secure_delete=ON; PRAGMA foreign_keys=ON;", ADVICE, &s->db, e);
    if (r >= 0)
        r = store_check(s, e);
    if (r >= 0)
        r = read_keys(s, &keys, e);
    if (r >= 0)
        r = read_recovery(s, &keys, e);
    if (r < 0)
        return r;
    *ret_keys = keys;
    return 0;
}

void store_accept(struct store *s)
{
    database_keep(s->db);
}
