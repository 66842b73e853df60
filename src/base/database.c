/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "base/database.h"

#include "base/cleanup.h"
#include "base/durable.h"

#include <fcntl.h>
#include <libgen.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

int database_own(const char *path, struct error *e)
{
    char copy[PATH_MAX];
    struct stat st;

    if (geteuid() != 0)
        return 0;
    if (snprintf(copy, sizeof(copy), "%s", path) >= (int)sizeof(copy))
        return error_set(e, -ENAMETOOLONG, "%s: the path is too long", path);
    if (stat(dirname(copy), &st) < 0 || lchown(path, st.st_uid, st.st_gid) < 0)
        return error_errno(e, -errno, "cannot give %s the owner of its directory", path);
    return 0;
}

int database_lock(const char *path, int *ret_fd, struct error *e)
{
    struct flock want = {.l_type = F_WRLCK, .l_whence = SEEK_SET}, holder = want;
    _cleanup_close_ int fd = -EBADF;
    char name[PATH_MAX];

    if (snprintf(name, sizeof(name), "%s.lock", path) >= (int)sizeof(name))
        return error_set(e, -ENAMETOOLONG, "%s: the path is too long", path);
    fd = open(name, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NOCTTY, 0600);
    if (fd < 0)
        return error_errno(e, -errno, "cannot open %s", name);
    if (database_own(name, e) < 0)
        return -EPERM;
    if (fcntl(fd, F_SETLK, &want) >= 0) {
        *ret_fd = TAKE_FD(fd);
        return 0;
    }
    if (errno != EAGAIN && errno != EACCES)
        return error_errno(e, -errno, "cannot lock %s", name);
    if (fcntl(fd, F_GETLK, &holder) < 0 || holder.l_type == F_UNLCK || holder.l_pid <= 0)
        return error_set(e, -EBUSY, "%s is held by another process", path);
    return error_set(e, -EBUSY, "%s is held by process %d: one agent at a time", path, (int)holder.l_pid);
}

int database_held(const char *path, int *ret_pid, struct error *e)
{
    struct flock holder = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
    _cleanup_close_ int fd = -EBADF;
    char name[PATH_MAX];

    *ret_pid = 0;
    if (snprintf(name, sizeof(name), "%s.lock", path) >= (int)sizeof(name))
        return error_set(e, -ENAMETOOLONG, "%s: the path is too long", path);
    fd = open(name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NOCTTY | O_NONBLOCK);
    if (fd < 0)
        return errno == ENOENT ? 0 : error_errno(e, -errno, "cannot open %s", name);
    if (fcntl(fd, F_GETLK, &holder) < 0)
        return error_errno(e, -errno, "cannot look at the lock %s", name);
    if (holder.l_type == F_UNLCK)
        return 0;
    *ret_pid = holder.l_pid > 0 ? (int)holder.l_pid : 0;
    if (*ret_pid > 0)
        error_set(e, 0, "%s is held by process %d", path, *ret_pid);
    else
        error_set(e, 0, "%s is held by another process", path);
    return 1;
}

int database_sync_found(const char *path, struct error *e)
{
    _cleanup_close_ int fd = -EBADF;
    char name[PATH_MAX];
    int r;

    if (snprintf(name, sizeof(name), "%s-wal", path) >= (int)sizeof(name))
        return error_set(e, -ENAMETOOLONG, "%s: the path is too long", path);
    fd = open(name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NOCTTY | O_NONBLOCK);
    if (fd < 0 && errno != ENOENT)
        return error_errno(e, -errno, "cannot open %s", name);
    if (fd >= 0 && fsync(fd) < 0)
        return error_errno(e, -errno, "cannot sync %s", name);
    r = durable_sync_directory(AT_FDCWD, path);
    return r < 0 ? error_errno(e, r, "cannot sync the directory of %s", path) : 0;
}

int database_failed(const char *path, sqlite3 *db, int rc, const char *doing, const char *advice, struct error *e)
{
    /* sqlite3_system_errno() knows of failed opens only; after a failed write errno still has its reason. */
    int system = errno, r;
    const char *why = db ? sqlite3_errmsg(db) : sqlite3_errstr(rc);

    switch (rc & 0xff) {
    case SQLITE_FULL:
        return error_set(e, -ENOSPC, "cannot %s %s: the disk is full", doing, path);
    case SQLITE_READONLY:
        return error_set(e, -EROFS, "cannot %s %s: it or its file system is read-only", doing, path);
    case SQLITE_NOMEM:
        return error_set(e, -ENOMEM, "cannot %s %s: out of memory", doing, path);
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
        return error_set(e, -EBUSY, "cannot %s %s: another process has it open", doing, path);
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
        return error_set(e, -EBADMSG, "cannot %s %s: it is corrupt (%s)%s", doing, path, why, advice);
    case SQLITE_CONSTRAINT:
        return error_set(e, -EEXIST, "cannot %s %s: %s", doing, path, why);
    case SQLITE_IOERR:
    case SQLITE_CANTOPEN:
        r = system == ENOSPC || system == EDQUOT || system == EFBIG ? -ENOSPC : system == EROFS ? -EROFS : -EIO;
        return error_set(e, r, "cannot %s %s: %s", doing, path, system ? strerror(system) : why);
    }
    return error_set(e, -EIO, "cannot %s %s: %s", doing, path, why);
}

int database_open(const char *path, const char *pragmas, const char *advice, sqlite3 **ret, struct error *e)
{
    static const char common[] = "PRAGMA locking_mode=EXCLUSIVE; PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL;"
                                 "PRAGMA cell_size_check=ON; PRAGMA temp_store=MEMORY; PRAGMA mmap_size=0;"
                                 "PRAGMA cache_size=-512;";
    sqlite3 *db = NULL;
    int r = database_sync_found(path, e), rc;

    if (r < 0)
        return r;
    rc = sqlite3_open_v2(path, &db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_FULLMUTEX, NULL);
    if (rc != SQLITE_OK) {
        r = database_failed(path, db, rc, "open", advice, e);
    } else if (sqlite3_db_readonly(db, "main") == 1) {
        r = error_set(e, -EROFS, "%s cannot be written to: it or its file system is read-only", path);
    } else {
        sqlite3_extended_result_codes(db, 1);
        sqlite3_db_config(db, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, NULL);
        sqlite3_db_config(db, SQLITE_DBCONFIG_DEFENSIVE, 1, NULL);
        sqlite3_db_config(db, SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0, NULL);
        rc = sqlite3_exec(db, common, NULL, NULL, NULL);
        if (rc == SQLITE_OK)
            rc = sqlite3_exec(db, pragmas, NULL, NULL, NULL);
        if (rc != SQLITE_OK)
            r = database_failed(path, db, rc, "open", advice, e);
    }
    if (r < 0) {
        sqlite3_close(db);
        return r;
    }
    *ret = db;
    return 0;
}

void database_keep(sqlite3 *db)
{
    sqlite3_db_config(db, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 0, NULL);
}

int database_check(const char *path, sqlite3 *db, const char *advice, struct error *e)
{
    sqlite3_stmt *st = NULL;
    int rc = sqlite3_prepare_v2(db, "PRAGMA quick_check(1)", -1, &st, NULL), r = 0;
    const char *found;

    if (rc == SQLITE_OK)
        rc = sqlite3_step(st);
    if (rc != SQLITE_ROW) {
        r = database_failed(path, db, rc, "read", advice, e);
    } else {
        found = (const char *)sqlite3_column_text(st, 0) ?: "";
        if (strcmp(found, "ok") != 0)
            r = error_set(e, -EBADMSG, "%s is corrupt (%s)%s", path, found, advice);
    }
    sqlite3_finalize(st);
    return r;
}

int database_statement(sqlite3 *db, const char *text, sqlite3_stmt **prepared)
{
    return *prepared ? SQLITE_OK : sqlite3_prepare_v3(db, text, -1, SQLITE_PREPARE_PERSISTENT, prepared, NULL);
}

void database_release(sqlite3_stmt *st)
{
    sqlite3_reset(st);
    sqlite3_clear_bindings(st);
}

int database_run(sqlite3_stmt *st)
{
    int rc = sqlite3_step(st);

    database_release(st);
    return rc == SQLITE_DONE ? SQLITE_OK : rc;
}

uint32_t database_header_number(const uint8_t *header, unsigned at)
{
    const uint8_t *p = header + at;

    return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}
