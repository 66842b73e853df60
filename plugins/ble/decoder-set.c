/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Directories of decoder files. */

#include "decoder-internal.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define LETTERS "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"

struct decoder_set *decoder_set_new(void)
{
    return calloc(1, sizeof(struct decoder_set));
}

struct decoder_set *decoder_set_free(struct decoder_set *set)
{
    if (!set)
        return NULL;
    for (size_t i = 0; i < set->n; i++)
        decoder_free(set->decoders[i]);
    free(set);
    return NULL;
}

size_t decoder_set_count(const struct decoder_set *set)
{
    return set->n;
}

const struct decoder *decoder_set_at(const struct decoder_set *set, size_t i)
{
    return i < set->n ? set->decoders[i] : NULL;
}

const struct decoder *decoder_set_find(const struct decoder_set *set, const char *name)
{
    for (size_t i = 0; i < set->n; i++)
        if (strcmp(set->decoders[i]->name, name) == 0)
            return set->decoders[i];
    return NULL;
}

static void insert(struct decoder_set *set, struct decoder *d)
{
    size_t at = set->n;

    while (at > 0 && strcmp(set->decoders[at - 1]->name, d->name) > 0)
        at--;
    memmove(&set->decoders[at + 1], &set->decoders[at], (set->n - at) * sizeof(struct decoder *));
    set->decoders[at] = d;
    set->n++;
}

/* --- one file --- */

/* "LINE:COLUMN" of an offset; columns in bytes. */
static void place_text(const char *text, size_t at, char *place, size_t size)
{
    unsigned line = 1, column = 1;

    for (size_t i = 0; i < at; i++) {
        column = text[i] == '\n' ? 1 : column + 1;
        line += text[i] == '\n';
    }
    (void)snprintf(place, size, "%u:%u", line, column);
}

/* Past the string that begins at i. */
static size_t string_end(const char *text, size_t i, size_t n)
{
    for (i++; i < n && text[i] != '"'; i++)
        i += text[i] == '\\';
    return i < n ? i + 1 : n;
}

/* Past the comment that begins at i; i if none does. */
static size_t comment_end(const char *text, size_t i, size_t n)
{
    const char *end = NULL;

    if (n - i < 2 || text[i] != '/')
        return i;
    if (text[i + 1] == '/')
        end = memchr(text + i, '\n', n - i);
    else if (text[i + 1] == '*')
        end = n - i > 2 ? memmem(text + i + 2, n - i - 2, "*/", 2) : NULL;
    else
        return i;
    return !end ? n : text[i + 1] == '*' ? (size_t)(end - text) + 2 : (size_t)(end - text);
}

/* Comments become blanks, as in the agent's own files: "//" to the end of the line, and slash-star pairs. */
static void blank_comments(char *text, size_t n)
{
    for (size_t i = 0; i < n;) {
        size_t end = text[i] == '"' ? string_end(text, i, n) : comment_end(text, i, n);
        if (text[i] == '"' || end == i) {
            i = end == i ? i + 1 : end;
            continue;
        }
        for (; i < end; i++)
            text[i] = text[i] == '\n' ? '\n' : ' ';
    }
}

static json_object *parse(const char *path, const char *original, size_t n, decoder_complain complain, void *context)
{
    struct json_tokener *tokener = json_tokener_new_ex(16);
    char *text = malloc(n + 1);
    json_object *root = NULL;
    char place[32];

    if (!tokener || !text) {
        complain(context, path, "", "out of memory");
        json_tokener_free(tokener);
        free(text);
        return NULL;
    }
    memcpy(text, original, n);
    text[n] = '\0';
    blank_comments(text, n);
    json_tokener_set_flags(tokener, JSON_TOKENER_STRICT | JSON_TOKENER_VALIDATE_UTF8);
    root = json_tokener_parse_ex(tokener, text, (int)n);
    enum json_tokener_error error = json_tokener_get_error(tokener);
    size_t at = json_tokener_get_parse_end(tokener);
    at += root ? strspn(text + at, " \t\r\n") : 0;
    place_text(text, at < n ? at : n, place, sizeof place);
    if (root && at < n)
        complain(context, path, place, "expected the end of the file");
    else if (!root)
        complain(context, path, place,
                 error == json_tokener_continue ? "the file ends too early" : json_tokener_error_desc(error));
    if (root && (at < n || !json_object_is_type(root, json_type_object))) {
        if (at >= n)
            complain(context, path, "", "expected an object");
        json_object_put(root);
        root = NULL;
    }
    json_tokener_free(tokener);
    free(text);
    return root;
}

static bool name_is_valid(const char *name)
{
    size_t n = strlen(name);

    return n >= 1 && n <= DECODER_NAME_MAX && strchr(LETTERS, name[0]) && strspn(name, LETTERS "._-") == n &&
           strcmp(name, DECODER_AUTO) != 0;
}

int decoder_set_add_text(struct decoder_set *set, const char *name, const char *path, const char *text, size_t n,
                         decoder_complain complain, void *context)
{
    struct reading r = {.complain = complain, .context = context, .path = path};
    json_object *root = NULL;
    struct decoder *d = NULL;

    if (!name_is_valid(name))
        reading_complain(&r, NULL, "the file's name is no name of a format: letters, digits, '.', '_', '-', at most %d",
                         DECODER_NAME_MAX);
    else if (set->n == DECODER_FILES_MAX)
        reading_complain(&r, NULL, "there are more than %d files", DECODER_FILES_MAX);
    else
        root = parse(path, text, n, complain, context);
    if (root)
        d = decoder_read(&r, name, root);
    if (d && !decoder_check_vectors(&r, d, root))
        d = decoder_free(d);
    json_object_put(root);
    if (!d)
        return -EINVAL;
    insert(set, d);
    return 0;
}

/* --- directories --- */

static int read_all(int fd, char *text, size_t size)
{
    size_t used = 0;

    while (used < size) {
        ssize_t n = read(fd, text + used, size - used);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return -errno;
        if (n == 0)
            break;
        used += (size_t)n;
    }
    return used == size ? -EFBIG : (int)used;
}

static void add_file(struct decoder_set *set, int directory, const char *file, const char *name, const char *path,
                     decoder_complain complain, void *context)
{
    int fd = openat(directory, file, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK), n = -1;
    char *text = malloc(DECODER_FILE_MAX + 2);
    struct stat st;
    int r = fd < 0 ? -errno : !text ? -ENOMEM : fstat(fd, &st) < 0 ? -errno : S_ISREG(st.st_mode) ? 0 : -EINVAL;

    if (r == 0)
        n = r = read_all(fd, text, DECODER_FILE_MAX + 1);
    if (fd >= 0)
        close(fd);
    if (r < 0)
        complain(context, path, "", r == -EINVAL ? "is not a regular file" : strerror(-r));
    if (n >= 0) {
        text[n] = '\0';
        (void)decoder_set_add_text(set, name, path, text, (size_t)n, complain, context);
    }
    free(text);
}

/* Names that were met, refused or not. */
struct names {
    char (*names)[DECODER_NAME_MAX + 1];
    size_t n;
};

static bool names_add(struct names *met, const char *name)
{
    for (size_t i = 0; i < met->n; i++)
        if (strcmp(met->names[i], name) == 0)
            return false;
    if (met->n < DECODER_FILES_MAX)
        (void)snprintf(met->names[met->n++], sizeof met->names[0], "%s", name);
    return true;
}

static void load_entry(struct decoder_set *set, int fd, const char *directory, const char *file, struct names *met,
                       decoder_complain complain, void *context)
{
    size_t length = strlen(file);
    char path[4096], name[256] = "";

    if (length <= 5 || file[0] == '.' || strcmp(file + length - 5, ".json") != 0)
        return;
    /* A name in a directory has at most 255 characters; a path that did not fit could not have been opened before it.
     */
    if (snprintf(path, sizeof path, "%s/%s", directory, file) >= (int)sizeof path)
        return;
    (void)snprintf(name, sizeof name, "%.*s", (int)(length - 5), file);
    if (length - 5 > DECODER_NAME_MAX || names_add(met, name))
        add_file(set, fd, file, name, path, complain, context);
}

static void load_directory(struct decoder_set *set, const char *directory, struct names *met, decoder_complain complain,
                           void *context)
{
    struct dirent **entries = NULL;
    int fd = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC), n = -1;

    if (fd < 0 && errno == ENOENT)
        return;
    if (fd >= 0)
        n = scandirat(fd, ".", &entries, NULL, alphasort);
    if (n < 0)
        complain(context, directory, "", strerror(errno));
    for (int i = 0; i < n; i++) {
        load_entry(set, fd, directory, entries[i]->d_name, met, complain, context);
        free(entries[i]);
    }
    free(entries);
    if (fd >= 0)
        close(fd);
}

int decoder_set_load(const char *const *directories, size_t n_directories, decoder_complain complain, void *context,
                     struct decoder_set **ret)
{
    struct decoder_set *set = decoder_set_new();
    struct names met = {.names = calloc(DECODER_FILES_MAX, sizeof *met.names)};
    int r = set && met.names ? 0 : -ENOMEM;

    for (size_t i = 0; i < n_directories && r == 0; i++)
        load_directory(set, directories[i], &met, complain, context);
    free(met.names);
    if (r < 0) {
        decoder_set_free(set);
        return r;
    }
    *ret = set;
    return 0;
}

int decoder_set_load_installed(decoder_complain complain, void *context, struct decoder_set **ret)
{
    const char *one = secure_getenv("GATEHOUSE_BLE_DECODERS");
    const char *const places[] = {one ? one : DECODER_DIR_ADMIN, GATEHOUSE_BLE_DIR};

    return decoder_set_load(places, one ? 1 : 2, complain, context, ret);
}
