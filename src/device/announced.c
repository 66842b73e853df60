/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "device/announced.h"

#include "base/cleanup.h"
#include "base/strbuf.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define HEAD "gatehouse announced 1\n"
#define BROKER "broker "
#define TEXTS "texts "

/* Where the topic stands, or would. */
static size_t index_of(const struct announced *a, const char *topic)
{
    size_t from = 0, to = a->n;

    while (from < to) {
        size_t middle = from + (to - from) / 2;

        if (strcmp(a->list[middle].topic, topic) < 0)
            from = middle + 1;
        else
            to = middle;
    }
    return from;
}

static bool stands_at(const struct announced *a, size_t i, const char *topic)
{
    return i < a->n && strcmp(a->list[i].topic, topic) == 0;
}

bool announced_has(const struct announced *a, const char *topic)
{
    return stands_at(a, index_of(a, topic), topic);
}

int announced_add(struct announced *a, const char *topic, const char *point)
{
    struct announced_topic one, *list;
    size_t i = index_of(a, topic);

    if (stands_at(a, i, topic))
        return 0;
    list = reallocarray(a->list, a->n + 1, sizeof(*list));
    if (!list)
        return -ENOMEM;
    a->list = list;
    one = (struct announced_topic){strdup(topic), strdup(point)};
    if (!one.topic || !one.point) {
        free(one.topic);
        free(one.point);
        return -ENOMEM;
    }
    memmove(&list[i + 1], &list[i], (a->n - i) * sizeof(*list));
    list[i] = one;
    a->n++;
    return 1;
}

void announced_remove(struct announced *a, const char *topic)
{
    size_t i = index_of(a, topic);

    if (!stands_at(a, i, topic))
        return;
    free(a->list[i].topic);
    free(a->list[i].point);
    a->n--;
    memmove(&a->list[i], &a->list[i + 1], (a->n - i) * sizeof(*a->list));
}

int announced_format(const struct announced *a, char **ret)
{
    struct strbuf b = {0};

    strbuf_printf(&b, HEAD BROKER "%s\n" TEXTS "%016" PRIx64 "\n", a->broker ?: "", a->texts);
    for (size_t i = 0; i < a->n; i++)
        strbuf_printf(&b, "%s\t%s\n", a->list[i].topic, a->list[i].point);
    return strbuf_take(&b, ret);
}

void announced_done(struct announced *a)
{
    for (size_t i = 0; i < a->n; i++) {
        free(a->list[i].topic);
        free(a->list[i].point);
    }
    free(a->list);
    free(a->broker);
    *a = (struct announced){0};
}

/* One line, without its end; false: there is none. */
static bool next_line(const char **text, char **ret)
{
    const char *end = strchr(*text, '\n');

    free(*ret);
    *ret = end ? strndup(*text, (size_t)(end - *text)) : NULL;
    if (end)
        *text = end + 1;
    return *ret != NULL;
}

static int parse_topics(const char *text, struct announced *ret)
{
    _cleanup_free_ char *line = NULL;

    while (next_line(&text, &line)) {
        char *tab = strchr(line, '\t');

        if (!tab || tab == line)
            return -EBADMSG;
        *tab = 0;
        if (announced_add(ret, line, tab + 1) < 0)
            return -ENOMEM;
    }
    return *text ? -EBADMSG : 0;
}

int announced_parse(const char *text, struct announced *ret)
{
    _cleanup_(announced_done) struct announced a = {0};
    _cleanup_free_ char *line = NULL;
    int r;

    if (strncmp(text, HEAD, strlen(HEAD)) != 0)
        return -EBADMSG;
    text += strlen(HEAD);
    if (!next_line(&text, &line) || strncmp(line, BROKER, strlen(BROKER)) != 0)
        return -EBADMSG;
    a.broker = strdup(line + strlen(BROKER));
    if (!a.broker)
        return -ENOMEM;
    if (!next_line(&text, &line) || sscanf(line, TEXTS "%16" SCNx64, &a.texts) != 1)
        return -EBADMSG;
    r = parse_topics(text, &a);
    if (r < 0)
        return r;
    *ret = a;
    a = (struct announced){0};
    return 0;
}
