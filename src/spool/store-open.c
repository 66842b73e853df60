/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Lock, making, opening and moving aside of spool.db. */
#include "base/clock.h"
#include "base/durable.h"
#include "base/limits.h"
#include "spool/store-internal.h"

#include <dirent.h>
#include <fcntl.h>
#include <libgen.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#define APPLICATION_ID 0x47485331 /* "GHS1" */
#define FORMAT 2
#define FORMAT_WITHOUT_SURE 1 /* of boots */
#define STRINGIFY(x) #x
#define STRING(x) STRINGIFY(x)
#define CORRUPT ".corrupt-"
#define ASIDE_OF_A_TIME 100

/* `sample` grows at its end, and shrinks where it began. Numbers of rows are never used again: a device's `row` may be
 * one that is long gone. */
static const char schema[] =
    "CREATE TABLE boot (number INTEGER PRIMARY KEY, id BLOB NOT NULL, offset INTEGER,"
    " sure INTEGER NOT NULL DEFAULT 1) STRICT;"
    "CREATE TABLE device (number INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, row INTEGER NOT NULL,"
    " skip INTEGER NOT NULL, dropped INTEGER NOT NULL, rejected INTEGER NOT NULL) STRICT;"
    "CREATE TABLE sample (seq INTEGER PRIMARY KEY, device INTEGER NOT NULL, n INTEGER NOT NULL, data BLOB NOT NULL)"
    " STRICT;"
    "CREATE TABLE rejected (number INTEGER PRIMARY KEY, device TEXT NOT NULL, time INTEGER NOT NULL,"
    " point TEXT NOT NULL, value TEXT NOT NULL, unit TEXT NOT NULL, reason TEXT NOT NULL) STRICT;"
    "PRAGMA application_id = " STRING(APPLICATION_ID) ";"
                                                      "PRAGMA user_version = " STRING(FORMAT) ";";

static const char *const logs[] = {"-wal", "-journal"};

/* ---- Beginning and end ---- */

int spool_store_new(const char *path, struct spool_store **ret, struct error *e)
{
    _cleanup_(spool_store_freep) struct spool_store *s = calloc(1, sizeof(*s));
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

void spool_store_close(struct spool_store *s)
{
    for (int i = 0; i < N_STATEMENTS; i++) {
        sqlite3_finalize(s->prepared[i]);
        s->prepared[i] = NULL;
    }
    sqlite3_close(s->db);
    s->db = NULL;
}

struct spool_store *spool_store_free(struct spool_store *s)
{
    if (!s)
        return NULL;
    spool_store_close(s);
    safe_close(s->lock_fd);
    free(s->path);
    free(s);
    return NULL;
}

static int name_of(const struct spool_store *s, const char *suffix, char name[PATH_MAX], struct error *e)
{
    if (snprintf(name, PATH_MAX, "%s%s", s->path, suffix) >= PATH_MAX)
        return error_set(e, -ENAMETOOLONG, "%s: the path is too long", s->path);
    return 0;
}

/* ---- Looking ---- */

static int wrong_format(const struct spool_store *s, uint32_t format, struct error *e)
{
    return error_set(e, -EPROTONOSUPPORT,
                     "%s has format %u, this version knows format %d: install a later version, or move it away",
                     s->path, format, FORMAT);
}

static int judge_header(const struct spool_store *s, const uint8_t *header, ssize_t n, struct error *e)
{
    uint32_t format;

    if (n < DATABASE_HEADER_SIZE || memcmp(header, "SQLite format 3", 16) != 0)
        return error_set(e, -EBADMSG, "%s is damaged: it is no database", s->path);
    if (database_header_number(header, 68) != APPLICATION_ID)
        return error_set(e, -EMEDIUMTYPE, "%s is not a spool: another program's database, left as it is; move it away",
                         s->path);
    format = database_header_number(header, 60);
    return format == FORMAT || format == FORMAT_WITHOUT_SURE ? 1 : wrong_format(s, format, e);
}

int spool_store_look(const struct spool_store *s, struct error *e)
{
    _cleanup_close_ int fd = open(s->path, O_RDWR | O_CLOEXEC | O_NOFOLLOW | O_NOCTTY | O_NONBLOCK);
    uint8_t header[DATABASE_HEADER_SIZE];
    char name[PATH_MAX];
    struct stat st;
    ssize_t n;

    if (fd >= 0) {
        if (fstat(fd, &st) < 0)
            return error_errno(e, -errno, "cannot look at %s", s->path);
        if (!S_ISREG(st.st_mode))
            return error_set(e, -EMEDIUMTYPE, "%s is not a regular file; move it away", s->path);
        n = pread(fd, header, sizeof(header), 0);
        return n < 0 ? error_errno(e, -errno, "cannot read %s", s->path) : judge_header(s, header, n, e);
    }
    if (errno != ENOENT)
        return error_errno(e, -errno, "cannot open %s", s->path);
    /* SQLite would play such a log into whatever gets the name. */
    for (size_t i = 0; i < ELEMENTSOF(logs); i++) {
        int r = name_of(s, logs[i], name, e);

        if (r < 0)
            return r;
        if (lstat(name, &st) >= 0 && st.st_size > 0)
            return error_set(e, -EBADMSG, "%s is missing, and its log is there", s->path);
    }
    return 0;
}

/* ---- Making ---- */

/* A file that nobody sees yet; afterwards it is in WAL mode, and without a log. */
static int fill(struct spool_store *s, const char *path, struct error *e)
{
    int rc = sqlite3_open_v2(path, &s->db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_FULLMUTEX, NULL), r;

    if (rc == SQLITE_OK)
        rc = sqlite3_exec(s->db, "PRAGMA locking_mode=EXCLUSIVE; PRAGMA journal_mode=MEMORY; BEGIN", NULL, NULL, NULL);
    if (rc == SQLITE_OK)
        rc = sqlite3_exec(s->db, schema, NULL, NULL, NULL);
    if (rc == SQLITE_OK)
        rc = sqlite3_exec(s->db, "COMMIT; PRAGMA journal_mode=WAL", NULL, NULL, NULL);
    r = rc == SQLITE_OK ? 0 : spool_store_failed(s, rc, e, "make");
    spool_store_close(s);
    return r;
}

static int make(struct spool_store *s, struct error *e)
{
    _cleanup_close_ int fd = -EBADF;
    char name[PATH_MAX];
    int r = name_of(s, ".new~", name, e);

    if (r < 0)
        return r;
    unlink(name);
    fd = open(name, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (fd < 0)
        return error_errno(e, -errno, "cannot make %s", s->path);
    r = fill(s, name, e);
    if (r >= 0 && fsync(fd) < 0)
        r = error_errno(e, -errno, "cannot make %s", s->path);
    if (r >= 0)
        r = durable_rename(AT_FDCWD, name, s->path, e);
    if (r < 0)
        unlink(name);
    return r;
}

/* ---- Opening ---- */

/* The header may be older than the log. */
static int read_format(struct spool_store *s, uint32_t *ret, struct error *e)
{
    sqlite3_stmt *st = NULL;
    int rc = sqlite3_prepare_v2(s->db, "PRAGMA user_version", -1, &st, NULL), r = 0;

    if (rc == SQLITE_OK)
        rc = sqlite3_step(st);
    if (rc != SQLITE_ROW)
        r = spool_store_failed(s, rc, e, "read");
    else
        *ret = (uint32_t)sqlite3_column_int(st, 0);
    sqlite3_finalize(st);
    return r;
}

/* Brings it to the present format. */
static int check_format(struct spool_store *s, struct error *e)
{
    static const char more[] = "BEGIN; ALTER TABLE boot ADD COLUMN sure INTEGER NOT NULL DEFAULT 1;"
                               "PRAGMA user_version = " STRING(FORMAT) "; COMMIT;";
    uint32_t format = 0;
    int r = read_format(s, &format, e), rc;

    if (r < 0 || format == FORMAT)
        return r;
    if (format != FORMAT_WITHOUT_SURE)
        return wrong_format(s, format, e);
    rc = sqlite3_exec(s->db, more, NULL, NULL, NULL);
    return rc == SQLITE_OK ? 0 : spool_store_failed(s, rc, e, "convert");
}

static int open_there(struct spool_store *s, struct error *e)
{
    int r = database_open(s->path, "PRAGMA journal_size_limit=4194304;", "", &s->db, e);

    if (r >= 0)
        r = database_check(s->path, s->db, "", e);
    if (r >= 0)
        r = check_format(s, e);
    if (r >= 0)
        database_keep(s->db);
    return r;
}

int spool_store_open(struct spool_store *s, struct error *e)
{
    int r = spool_store_look(s, e);

    if (r == 0)
        r = make(s, e);
    if (r >= 0)
        r = open_there(s, e);
    if (r < 0)
        spool_store_close(s);
    return r;
}

/* ---- Moving aside ---- */

static int by_age(const struct dirent **a, const struct dirent **b)
{
    return strcmp((*a)->d_name, (*b)->d_name);
}

/* Removes the oldest of the files moved aside, whose names begin with `prefix` and the time. Keeps `latest`: if the
 * clock is unset or was set back, its time is not the latest. */
static void keep_few(const char *directory, const char *prefix, const char *latest)
{
    struct dirent **entries = NULL;
    int n = scandir(directory, &entries, NULL, by_age), n_files = 1;
    char name[PATH_MAX];

    for (int i = n; i-- > 0;) {
        const char *found = entries[i]->d_name;
        size_t length = strlen(found);
        bool log = length > 4 && strcmp(found + length - 4, "-wal") == 0;

        if (strncmp(found, prefix, strlen(prefix)) == 0 && strncmp(found, latest, strlen(latest)) != 0 &&
            (n_files += !log) + log > SPOOL_CORRUPT_MAX &&
            snprintf(name, sizeof(name), "%s/%s", directory, found) < (int)sizeof(name))
            unlink(name);
        free(entries[i]);
    }
    free(entries);
}

/* A free name that sorts behind those of the same time: two files may be damaged in one second, or while the clock is
 * unset. Once the last number is taken, a free one below it. */
static int aside_name(const struct spool_store *s, char *ret, size_t size, struct error *e)
{
    time_t now = (time_t)(clock_realtime() / USEC_PER_SEC);
    struct tm tm;
    char when[32];
    struct stat st;
    int number = -1;

    strftime(when, sizeof(when), "%Y%m%dT%H%M%SZ", gmtime_r(&now, &tm));
    for (int i = ASIDE_OF_A_TIME; i-- > 0;) {
        if (snprintf(ret, size, "%s" CORRUPT "%s.%02d", s->path, when, i) >= (int)size)
            return error_set(e, -ENAMETOOLONG, "%s: the path is too long", s->path);
        if (lstat(ret, &st) < 0 && errno == ENOENT)
            number = i;
        else if (number >= 0)
            break;
    }
    if (number < 0)
        return error_set(e, -EEXIST, "%s: cannot be moved aside: all names of %s are taken", s->path, when);
    snprintf(ret, size, "%s" CORRUPT "%s.%02d", s->path, when, number);
    return 0;
}

int spool_store_move_aside(struct spool_store *s, char *ret_name, size_t size, struct error *e)
{
    char copy[PATH_MAX], base[PATH_MAX], latest[PATH_MAX], prefix[NAME_MAX], from[PATH_MAX], to[PATH_MAX];
    int r = aside_name(s, ret_name, size, e);

    if (r < 0)
        return r;
    if (s->db)
        sqlite3_db_config(s->db, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, NULL);
    spool_store_close(s);
    /* The log first: without its file it is nobody's, the file without its log would be opened. */
    for (size_t i = 0; i < ELEMENTSOF(logs); i++) {
        r = name_of(s, logs[i], from, e);
        if (r >= 0 && snprintf(to, sizeof(to), "%s%s", ret_name, logs[i]) >= (int)sizeof(to))
            r = -ENAMETOOLONG;
        if (r >= 0 && rename(from, to) < 0 && errno != ENOENT)
            r = error_errno(e, -errno, "cannot move %s away", from);
        if (r < 0)
            return r;
    }
    if (rename(s->path, ret_name) < 0 && errno != ENOENT)
        return error_errno(e, -errno, "cannot move %s away", s->path);
    r = durable_sync_directory(AT_FDCWD, s->path);
    if (r < 0)
        return error_errno(e, r, "cannot move %s away", s->path);
    snprintf(copy, sizeof(copy), "%s", s->path);
    snprintf(base, sizeof(base), "%s", s->path);
    snprintf(prefix, sizeof(prefix), "%.200s" CORRUPT, basename(base));
    snprintf(latest, sizeof(latest), "%s", ret_name);
    keep_few(dirname(copy), prefix, basename(latest));
    return 0;
}

int spool_store_remove(struct spool_store *s, struct error *e)
{
    char name[PATH_MAX];

    spool_store_close(s);
    for (size_t i = 0; i < ELEMENTSOF(logs); i++)
        if (name_of(s, logs[i], name, NULL) >= 0)
            unlink(name);
    return durable_unlink(AT_FDCWD, s->path, e);
}
