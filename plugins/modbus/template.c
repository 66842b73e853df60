/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "template.h"

#include "modbus-limits.h"

#include <errno.h>
#include <fcntl.h>
#include <json-c/json.h>
#include <json-c/json_util.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define LETTERS "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"

static bool name_valid(const char *name)
{
    size_t n = strlen(name);

    return n >= 1 && n <= NAME_MAX_LENGTH && strchr(LETTERS, name[0]) && strspn(name, LETTERS "._-") == n;
}

/* --- the file --- */

static int open_template(const char *name, char *path, size_t size)
{
    const char *one = secure_getenv("GATEHOUSE_MODBUS_TEMPLATES");
    const char *const places[] = {one ? one : TEMPLATE_DIR_ADMIN, one ? NULL : GATEHOUSE_MODBUS_DIR};
    int fd = -1;

    for (size_t i = 0; fd < 0 && i < 2 && places[i]; i++) {
        (void)snprintf(path, size, "%s/%s.json", places[i], name);
        fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
        if (fd < 0 && errno != ENOENT && errno != ENOTDIR)
            break;
    }
    return fd < 0 ? -errno : fd;
}

static json_object *parse_file(int fd, char *error, size_t size)
{
    json_object *root = NULL;
    struct stat st;

    if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode) || st.st_size > TEMPLATE_SIZE_MAX)
        (void)snprintf(error, size, "it is no file of at most %d KiB", TEMPLATE_SIZE_MAX / 1024);
    else if (!(root = json_object_from_fd(fd)))
        (void)snprintf(error, size, "%s", json_util_get_last_err());
    else if (!json_object_is_type(root, json_type_object)) {
        (void)snprintf(error, size, "expected a JSON object");
        json_object_put(root);
        root = NULL;
    }
    return root;
}

/* `title` and `source` are for people, `vectors` for the tests. */
static bool has_known_keys(json_object *root, char *error, size_t size)
{
    static const char *const known[] = {"title", "source", "modbus", "points", "vectors"};

    json_object_object_foreach (root, key, value) {
        bool found = false;
        (void)value;
        for (size_t i = 0; i < sizeof known / sizeof known[0]; i++)
            found |= strcmp(known[i], key) == 0;
        if (!found) {
            (void)snprintf(error, size, "unknown key \"%.64s\"; expected title, source, modbus, points, vectors", key);
            return false;
        }
    }
    return true;
}

/* The object at the key; NULL after words if it is something else, or its members are not objects where they must be.
 */
static json_object *member(json_object *root, const char *key, bool of_objects, char *error, size_t size)
{
    json_object *o = NULL;

    if (!json_object_object_get_ex(root, key, &o) || !json_object_is_type(o, json_type_object)) {
        (void)snprintf(error, size, "\"%s\" is not an object", key);
        return NULL;
    }
    json_object_object_foreach (o, name, value) {
        if (of_objects && (!name_valid(name) || !json_object_is_type(value, json_type_object))) {
            (void)snprintf(error, size, "\"%s\": \"%.64s\" is no point", key, name);
            return NULL;
        }
    }
    return o;
}

static json_object *load(const char *name, char *error, size_t size)
{
    char path[512] = "", words[256] = "";
    json_object *root = NULL;
    int fd = name_valid(name) ? open_template(name, path, sizeof path) : -ENOENT;

    if (fd < 0) {
        (void)snprintf(error, size, "no template \"%.64s\" (%s); expected a file NAME.json in %s or %s", name,
                       strerror(-fd), TEMPLATE_DIR_ADMIN, GATEHOUSE_MODBUS_DIR);
        return NULL;
    }
    root = parse_file(fd, words, sizeof words);
    close(fd);
    if (root &&
        (!has_known_keys(root, words, sizeof words) || !member(root, "points", true, words, sizeof words) ||
         (json_object_object_get_ex(root, "modbus", NULL) && !member(root, "modbus", false, words, sizeof words)))) {
        json_object_put(root);
        root = NULL;
    }
    if (!root)
        (void)snprintf(error, size, "%s: %s", path, words);
    return root;
}

/* --- putting together --- */

/* The members of `over` into `under`. */
static bool merge(json_object *under, json_object *over)
{
    json_object_object_foreach (over, key, value) {
        if (json_object_object_add(under, key, json_object_get(value)) != 0) {
            json_object_put(value);
            return false;
        }
    }
    return true;
}

static char *text_of(json_object *o)
{
    return strdup(json_object_to_json_string_ext(o, JSON_C_TO_STRING_PLAIN));
}

/* One point: the template's keys (NULL if it has none), the device's (NULL if it has none). */
static int put_point(struct template *t, const char *name, json_object *keys, const struct gatehouse_point *own)
{
    struct gatehouse_point *p = &t->points[t->n_points];
    json_object *all = json_object_new_object(), *more = own ? json_tokener_parse(own->config) : NULL, *unit = NULL;
    bool good = all && (!keys || merge(all, keys));

    if (good && json_object_object_get_ex(all, "unit", &unit) && json_object_is_type(unit, json_type_string))
        p->unit = strdup(json_object_get_string(unit));
    if (good && unit)
        json_object_object_del(all, "unit");
    if (good && more && json_object_is_type(more, json_type_object))
        good = merge(all, more);
    if (good && own && own->unit) {
        free((char *)(uintptr_t)p->unit);
        p->unit = strdup(own->unit);
        good = p->unit;
    }
    p->name = strdup(name);
    p->config = good ? text_of(all) : NULL;
    p->writable = own && own->writable;
    t->n_points++;
    json_object_put(more);
    json_object_put(all);
    return good && p->name && p->config ? 0 : -ENOMEM;
}

static const struct gatehouse_point *find(const struct gatehouse_point *points, size_t n, const char *name)
{
    for (size_t i = 0; i < n; i++)
        if (strcmp(points[i].name, name) == 0)
            return &points[i];
    return NULL;
}

static int put_points(struct template *t, json_object *theirs, const struct gatehouse_point *points, size_t n)
{
    size_t most = (size_t)json_object_object_length(theirs) + n;
    int r = 0;

    t->points = calloc(most ? most : 1, sizeof *t->points);
    if (!t->points)
        return -ENOMEM;
    json_object_object_foreach (theirs, name, keys) {
        if (r == 0)
            r = put_point(t, name, keys, find(points, n, name));
    }
    for (size_t i = 0; i < n && r == 0; i++)
        if (!json_object_object_get_ex(theirs, points[i].name, NULL))
            r = put_point(t, points[i].name, NULL, &points[i]);
    return r;
}

static int put_section(struct template *t, json_object *root, json_object *section)
{
    json_object *all = json_object_new_object(), *theirs = NULL;
    bool good = all;

    if (good && json_object_object_get_ex(root, "modbus", &theirs))
        good = merge(all, theirs);
    if (good)
        good = merge(all, section);
    if (good) {
        json_object_object_del(all, "template");
        t->section = text_of(all);
    }
    json_object_put(all);
    return t->section ? 0 : -ENOMEM;
}

static int apply(json_object *section, const struct gatehouse_point *points, size_t n_points,
                 gatehouse_complain complain, void *context, struct template *ret)
{
    json_object *name = NULL, *theirs = NULL, *root;
    struct template t = {0};
    char error[1024] = "";
    int r;

    if (!json_object_object_get_ex(section, "template", &name))
        return 0;
    if (!json_object_is_type(name, json_type_string)) {
        complain(context, "/section/template", "expected a string");
        return -EINVAL;
    }
    root = load(json_object_get_string(name), error, sizeof error);
    if (!root) {
        complain(context, "/section/template", error);
        return -EINVAL;
    }
    (void)json_object_object_get_ex(root, "points", &theirs);
    t.name = strdup(json_object_get_string(name));
    r = t.name ? put_section(&t, root, section) : -ENOMEM;
    if (r == 0)
        r = put_points(&t, theirs, points, n_points);
    json_object_put(root);
    if (r < 0) {
        template_done(&t);
        return r;
    }
    *ret = t;
    return 1;
}

int template_apply(const char *section, const struct gatehouse_point *points, size_t n_points,
                   gatehouse_complain complain, void *context, struct template *ret)
{
    json_object *o = json_tokener_parse(section);
    int r = 0;

    /* A section that is no object is complained of where it is read. */
    if (json_object_is_type(o, json_type_object))
        r = apply(o, points, n_points, complain, context, ret);
    json_object_put(o);
    return r;
}

void template_done(struct template *t)
{
    for (size_t i = 0; i < t->n_points; i++) {
        free((char *)(uintptr_t)t->points[i].name);
        free((char *)(uintptr_t)t->points[i].unit);
        free((char *)(uintptr_t)t->points[i].config);
    }
    free(t->points);
    free(t->section);
    free(t->name);
}
